/* A custom-operator library that shows ONNX Runtime's loader what the TensorRT-RTX EP shows it: the EP's three operators of domain
   "trt", each with one variadic heterogeneous input and output of undefined type. ONNX Runtime then takes their output types from the
   file alone, as it does under the EP, and says what is wrong with it, on any machine. The kernels compute nothing.

   The C API is a table of function pointers that only ever grows at its end, so three slots are enough to use it without its header:
   26 CreateCustomOpDomain, 27 CustomOpDomain_Add, 28 AddCustomOpDomain (onnxruntime_c_api.h, struct OrtApi).

   cc -shared -fPIC -o ort_door.so tools/ort_door.c */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif

enum { API_VERSION = 14, UNDEFINED = 0, VARIADIC = 2, CREATE_DOMAIN = 26, ADD_OPERATOR = 27, ADD_DOMAIN = 28 };

typedef struct CustomOp CustomOp;
struct CustomOp { /* struct OrtCustomOp, as far as version 14 */
  uint32_t version;
  void *(*create_kernel)(const CustomOp *, const void *api, const void *info);
  const char *(*get_name)(const CustomOp *);
  const char *(*get_provider)(const CustomOp *);
  int (*input_type)(const CustomOp *, size_t);
  size_t (*input_count)(const CustomOp *);
  int (*output_type)(const CustomOp *, size_t);
  size_t (*output_count)(const CustomOp *);
  void (*compute)(void *kernel, void *context);
  void (*destroy)(void *kernel);
  int (*input_kind)(const CustomOp *, size_t);
  int (*output_kind)(const CustomOp *, size_t);
  int (*input_memory)(const CustomOp *, size_t);
  int (*variadic_input_least)(const CustomOp *);
  int (*variadic_input_same_type)(const CustomOp *);
  int (*variadic_output_least)(const CustomOp *);
  int (*variadic_output_same_type)(const CustomOp *);
  const char *name;
};

static void *create_kernel(const CustomOp *op, const void *api, const void *info) { (void)op, (void)api, (void)info; return malloc(1); }
static const char *get_name(const CustomOp *op) { return op->name; }
static const char *any_provider(const CustomOp *op) { (void)op; return NULL; }
static int undefined(const CustomOp *op, size_t i) { (void)op, (void)i; return UNDEFINED; }
static int variadic(const CustomOp *op, size_t i) { (void)op, (void)i; return VARIADIC; }
static int default_memory(const CustomOp *op, size_t i) { (void)op, (void)i; return 0; }
static size_t one(const CustomOp *op) { (void)op; return 1; }
static int at_least_one(const CustomOp *op) { (void)op; return 1; }
static int no(const CustomOp *op) { (void)op; return 0; }
static void compute(void *kernel, void *context) { (void)kernel, (void)context; }

static CustomOp operators[] = {{.name = "TRT_FP4DynamicQuantize"}, {.name = "TRT_FP8QuantizeLinear"}, {.name = "TRT_FP8DequantizeLinear"}};

typedef struct { const void *const *(*get_api)(uint32_t version); } ApiBase;

EXPORT void *RegisterCustomOps(void *session_options, const ApiBase *base) {
  const void *const *api = base->get_api(API_VERSION);
  void *domain = NULL, *status = ((void *(*)(const char *, void **))api[CREATE_DOMAIN])("trt", &domain);
  for (size_t i = 0; status == NULL && i < sizeof operators / sizeof *operators; i++) {
    const char *name = operators[i].name;
    operators[i] = (CustomOp){API_VERSION, create_kernel, get_name, any_provider, undefined, one, undefined, one, compute, free,
                              variadic, variadic, default_memory, at_least_one, no, at_least_one, no, name};
    status = ((void *(*)(void *, const CustomOp *))api[ADD_OPERATOR])(domain, &operators[i]);
  }
  return status != NULL ? status : ((void *(*)(void *, void *))api[ADD_DOMAIN])(session_options, domain);
}
