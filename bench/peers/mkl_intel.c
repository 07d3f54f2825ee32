/* Preloaded into PyTorch on AMD processors: MKL asks this whether the processor is Intel's, and if
 * not runs AVX2 code at less than half the speed.  A peer is measured at its best. */
int mkl_serv_intel_cpu_true(void);
int mkl_serv_intel_cpu_true(void)
{
    return 1;
}
