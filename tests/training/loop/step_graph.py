"""Order of operations in the graph of a training step."""


def operations(trainer, batches):
    """Return the operation that counts waiting, and all matrix products."""
    step = trainer.make_train_function()
    graph = step.get_concrete_function(iter(batches)).graph
    all_operations = graph.get_operations()
    (count,) = (
        op
        for op in all_operations
        if op.type == "AssignAddVariableOp"
        and any(before.type == "Timestamp" for before in ancestors(op))
    )
    return count, [op for op in all_operations if op.type == "MatMul"]


def ancestors(operation):
    """Return all operations that are executed before one."""
    visited, waiting = set(), [operation]
    while waiting:
        op = waiting.pop()
        before = {*(tensor.op for tensor in op.inputs), *op.control_inputs}
        waiting += before - visited
        visited |= before
    return visited
