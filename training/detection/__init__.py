"""Detection on data of COCO's form: annotations, data, evaluation."""
