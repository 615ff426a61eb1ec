"""The documentation test finds new snippets and refuses wrong ones."""

import pytest

from tests.documentation import commands, snippets
from tests.documentation.checks import check_span, failures

DOCUMENTS = dict(snippets.documents())
README = DOCUMENTS["README.md"]
BLOCK = "\nNew.\n\n```sh\n{}\n```\n"


def wrong_lines(text):
    lines = snippets.shell_commands("README.md", text)
    return failures(lines, commands.check)


def test_all_documents_are_read():
    assert {
        "README.md",
        "CONTRIBUTING.md",
        "MODEL_ZOO.md",
        "savedmodels/README.md",
        "savedmodels/clients/README.md",
        "training/launch/README.md",
        "training/benchmarks/README.md",
        "notebooks/quickstart.ipynb",
        "docs/pages/own_videos.md",
    } <= set(DOCUMENTS)


def test_all_commands_are_listed():
    assert {
        "training.train",
        "training.predict",
        "training.shards",
        "training.benchmarks.operators",
        "tests.savedmodels.contract_server",
    } <= set(commands.command_modules())
    assert {"--views", "--full-frame", "--short-side"} <= commands.all_options()


@pytest.mark.parametrize(
    "line",
    [
        "nonlocal-tf train --recipee digits_nl",
        "nonlocal-tf train --recipe digit_nl --set batch=3",
        "nonlocal-tf train --recipe digits_nl --set bach=3",
        "nonlocal-tf train --recipe finetune \\\n    --set batch=x",
        "nonlocal-tf train --recipe small --set model.name=x",
        "nonlocal-tf check --dataset folder --set batch=3",
        "nonlocal-tf ablations --table 9z",
        "python -m training.trian",
        "nonlocal-tf predict clip.npy --modle x | cat",
        "python savedmodels/clients/classify.py clip.npy",
        "python savedmodels/clients/video_client.py clip.npy --modle x",
        "python -m pydoc training.recipes.kinetics500",
        "ls && make trian",
        "pip install -e '.[digit,viz]'",
        "pip install -c constraints.txt -e .",
        "docker compose -f savedmodels/serving/compose.yml up serving",
        "python -m training.benchmarks.operators --render training/x.json",
        "python training/benchmarks/operators.py --rounds 3",
        "frobnicate",
        "nonlocal-tf train 'x",
    ],
)
def test_a_wrong_command_in_a_new_block_is_refused(line):
    before = wrong_lines(README)
    after = wrong_lines(README + BLOCK.format(f"make test\n{line}"))
    assert len(after) == len(before) + 1
    place = README.count("\n") + 6 + line.count("\n")
    assert after[-1].startswith(f"README.md:{place}: ")


@pytest.mark.parametrize(
    "line",
    [
        "make test  # both backends",
        ". .venv/bin/activate && make lint",
        "python3 -m training.train --recipe digits_nl --set batch=3 > log",
        "$ KERAS_BACKEND=jax python -m pytest -n 2 tests/ops",
        "pip install -c constraints-tfio.txt -e '.[io,digits]'",
        "nonlocal-tf predict clip.npy --model DIR --top K",
    ],
)
def test_a_right_command_is_accepted(line):
    commands.check(line)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--recipe finetune", "--recipy finetune"),
        ("--model savedmodels", "--modle savedmodels"),
        ("--set data.root=videos", "--set data.roots=videos"),
        ("'.[video]'", "'.[vidio]'"),
        ("make train &&", "make trian &&"),
    ],
)
def test_a_change_of_readme_is_refused(old, new):
    assert old in README
    assert not wrong_lines(README)
    assert wrong_lines(README.replace(old, new))


@pytest.mark.parametrize(
    "span",
    [
        "--set sampling.flop=false",
        "--set sampling.flip=maybe",
        "--viws 10x3",
        "--recipe finetune_i4d --set model.weights=x.pkl",
        "training.predikt",
        "nl.creat_model(...)",
        "training.syncronized_bn",
        "tests/test_complexities.py",
        "nonlocal-tf train --lst",
    ],
)
def test_wrong_span_is_refused(span):
    (span_,) = snippets.spans("x.md", f"Use `{span}`.")
    wrong = failures([span_], check_span)
    wrong += wrong_lines(f"Use `{span}`.")
    assert wrong


@pytest.mark.parametrize(
    "text",
    [
        "Make one with python -m training.exprot.",
        "Resume it: nonlocal-tf train --workdri § or delete it.",
        "Give --workdirr DIR.",
        "Raise it with --set data.max_bad_shares=SHARE.",
        "too many: --set optimizer.warmup_steps=few",
    ],
)
def test_wrong_message_is_refused(text):
    with pytest.raises(commands.DocumentationError):
        commands.check_prose(text)


def test_strings_are_collected_once_with_placeholders(tmp_path):
    path = snippets.ROOT / "tests" / "documentation" / "__none__.py"
    source = '"""Doc."""\nx = f"a {y} b" "c"\nz = "d " "e"\n'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snippets, "_parsed", lambda _: snippets.ast.parse(source))
        texts = [message.text for message in snippets.messages(path)]
        (doc,) = snippets.docstrings(path)
    assert texts == ["a § bc", "d e"]
    assert doc.text == "Doc."
