/* Loads a SavedModel through TensorFlow's C API and classifies one clip.
 *
 * Usage: classify VERSION_DIR INPUT OUTPUT TIME HEIGHT WIDTH < pixels
 *
 * INPUT and OUTPUT name tensors, from assets.extra/tensors.json of the version;
 * pixels are TIME x HEIGHT x WIDTH x 3 bytes, RGB. Prints one number a class.
 *
 * Any C or C++ program loads the model like this, with libtensorflow or with the
 * libraries in TensorFlow's Python package:
 *
 *   TF=$(python -c "import tensorflow as tf; print(tf.sysconfig.get_lib())")
 *   cc classify.c -o classify -I$TF/include $TF/libtensorflow_cc.so.2 \
 *      $TF/libtensorflow_framework.so.2 -Wl,-rpath,$TF
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

static void fail(const char *what, const char *why) {
  fprintf(stderr, "error: %s: %s\n", what, why);
  exit(2);
}

static void check(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* The output of an operation that a name such as "serving_default_clips:0"
 * stands for. */
static TF_Output tensor_named(TF_Graph *graph, const char *name) {
  char operation[256];
  int index = 0;
  const char *colon = strrchr(name, ':');
  size_t length = colon ? (size_t)(colon - name) : strlen(name);
  if (length >= sizeof operation) fail(name, "the name is too long");
  memcpy(operation, name, length);
  operation[length] = '\0';
  if (colon) index = atoi(colon + 1);
  TF_Output output = {TF_GraphOperationByName(graph, operation), index};
  if (output.oper == NULL || index < 0 ||
      index >= TF_OperationNumOutputs(output.oper))
    fail(name, "no such tensor; assets.extra/tensors.json has the names");
  return output;
}

/* Reads a clip of pixels from standard input, as a batch of one. */
static TF_Tensor *read_clip(char **sizes) {
  int64_t dims[5] = {1, 0, 0, 0, 3};
  size_t bytes = 3;
  for (int i = 0; i < 3; i++) {
    dims[i + 1] = atoll(sizes[i]);
    if (dims[i + 1] < 1 || dims[i + 1] > 1 << 16)
      fail(sizes[i], "expected a size from 1 to 65536");
    bytes *= (size_t)dims[i + 1];
  }
  TF_Tensor *clip = TF_AllocateTensor(TF_UINT8, dims, 5, bytes);
  if (clip == NULL) fail("pixels", "not enough memory");
  if (fread(TF_TensorData(clip), 1, bytes, stdin) != bytes)
    fail("pixels", "expected TIME x HEIGHT x WIDTH x 3 bytes");
  return clip;
}

int main(int count, char **arguments) {
  if (count != 7)
    fail("usage", "classify VERSION_DIR INPUT OUTPUT TIME HEIGHT WIDTH");
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(
      options, NULL, arguments[1], tags, 1, graph, NULL, status);
  check(status, arguments[1]);

  TF_Output input = tensor_named(graph, arguments[2]);
  TF_Output output = tensor_named(graph, arguments[3]);
  TF_Tensor *clip = read_clip(arguments + 4);
  TF_Tensor *scores = NULL;
  TF_SessionRun(session, NULL, &input, &clip, 1, &output, &scores, 1, NULL, 0,
                NULL, status);
  check(status, "the model");
  if (TF_TensorType(scores) != TF_FLOAT) fail(arguments[3], "is not float32");

  const float *values = TF_TensorData(scores);
  size_t classes = TF_TensorByteSize(scores) / sizeof *values;
  for (size_t i = 0; i < classes; i++) printf("%.9g\n", values[i]);

  TF_DeleteTensor(scores);
  TF_DeleteTensor(clip);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
