using TorchSharp;
using static TorchSharp.torch;
namespace PipelineDsl.Benchmarks;
internal static class Parts
{
    public static void Run(string[] a)
    {
        set_num_threads(int.Parse(a[0], System.Globalization.CultureInfo.InvariantCulture));
        foreach (int n in new[] { 1024, 4096 })
        {
            var m = randn(n, n, dtype: float64); var f = m.to(float32);
            void T(string name, Func<Tensor> w) { SvdBenchmark.Median(2, w); Console.WriteLine($"{n} {name} {SvdBenchmark.Median(9, w) * 1e3:0.00} ms"); }
            T("conv", () => m.to(float32)); T("energy", () => m.square().sum()); T("norm", () => m.norm());
            foreach (var x in new[] { f, m })
            {
                var s = x.dtype.ToString(); var q = randn(n, 80, dtype: x.dtype); var p = randn(n, 16, dtype: x.dtype); var e = randn(160, 160, dtype: x.dtype); e = e.mm(e.mT);
                T(s + " mm80", () => x.mm(q)); T(s + " mmT80", () => x.mT.mm(q)); T(s + " mm16", () => x.mm(p)); T(s + " mmT16", () => x.mT.mm(p)); T(s + " mmT16b", () => p.mT.mm(x).mT); T(s + " mmT80b", () => q.mT.mm(x).mT);
                T(s + " qr80", () => linalg.qr(q).Q); T(s + " eigh160", () => linalg.eigh(e).Item2); T(s + " eigvalsh160", () => linalg.eigvalsh(e)); T(s + " randn", () => randn(n, 80, dtype: x.dtype));
                T(s + " chol160", () => linalg.cholesky_ex(e, false).L);
                T(s + " cholqr", () => { var g = q.mT.mm(q); var c = linalg.cholesky_ex(g, false).L; return linalg.solve_triangular(c, q.mT, upper: false, left: true); });
            }
            if (n < 2000) T("svd", () => linalg.svd(f, false).U);
        }
    }
}
