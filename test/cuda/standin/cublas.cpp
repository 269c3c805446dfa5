// Products, named with their sizes and the code of their type (0: float32, 2: float16, 14: bfloat16).
extern "C" {
void standin_log(const char*, ...);

int cublasCreate_v2(void** handle) { *handle = reinterpret_cast<void*>(16); return 0; }
int cublasGetMathMode(void*, int* mode) { *mode = 0; return 0; }
const char* cublasGetStatusName(int) { return "CUBLAS_STATUS"; }
const char* cublasGetStatusString(int) { return "a stand-in's status"; }
int cublasSgemm_v2(void*, int, int, int m, int n, int k) { standin_log("product %d %d %d type 0", m, n, k); return 0; }
int cublasGemmEx(void*, int, int, int m, int n, int k, const void*, const void*, int type) { standin_log("product %d %d %d type %d", m, n, k, type); return 0; }
int cublasSgemmStridedBatched(void*, int, int, int m, int n, int k) { standin_log("products %d %d %d type 0", m, n, k); return 0; }
int cublasGemmStridedBatchedEx(void*, int, int, int m, int n, int k, const void*, const void*, int type) { standin_log("products %d %d %d type %d", m, n, k, type); return 0; }
}
