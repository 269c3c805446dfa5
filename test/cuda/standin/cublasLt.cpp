extern "C" {
void standin_log(const char*, ...);

int cublasLtCreate(void** handle) { *handle = reinterpret_cast<void*>(16); return 0; }
int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int, void*, int* found) { *found = 1; return 0; }
int cublasLtMatmul() { standin_log("product of cublasLt"); return 0; }
}
