using PipelineDsl.Runtime.Analysis;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>Eigenspectra and exponents against the float64 reference.</summary>
[Trait("Category", "Golden")]
public sealed class FarmsGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("farms");
    private readonly SpectralWindows windows;
    private readonly double[][] spectra;
    private readonly int layers;

    public FarmsGoldenTests()
    {
        layers = golden.Integer("layers");
        windows = new() { Rows = golden.Integer("num_row_samples"), AspectRatio = golden.Number("Q_ratio"), PerDimension = golden.Integer("sampling_ops_per_dim") };
        spectra = [.. Enumerable.Range(0, layers).Select(layer => windows.Eigenvalues(golden[$"in.W{layer}"]))];
    }

    [Fact]
    public void Windows_and_pooled_eigenvalues_are_reproduced()
    {
        for (int layer = 0; layer < layers; layer++)
        {
            var shape = golden[$"in.W{layer}"].shape;
            var starts = windows.Place(shape[0], shape[1]).Starts;
            starts.SelectMany(start => new[] { start.Row, start.Column }).ShouldBe(golden[$"out.windows{layer}"].reshape(-1).data<long>().ToArray());
            spectra[layer].ShouldBeNear(golden[$"out.eigs{layer}"], 1e-9);
        }
    }

    [Fact]
    public void Exponents_and_distances_are_reproduced()
    {
        Check("mid", 1e-9, spectrum => HillFit.Of(spectrum, TailStart.Median, golden.Number("xmin_pos")));
        Check("peak", 1e-6, spectrum => HillFit.Of(spectrum, TailStart.Peak, bins: golden.Integer("bins")));
        Check("peak_lin", 1e-6, spectrum => HillFit.Of(spectrum, TailStart.Peak, bins: golden.Integer("bins"), cut: PeakLowerCut.Linear));
        Alphas("mid").ShouldBeNear(golden["out.official.alpha.mid"], 1e-6);
        Alphas("peak").ShouldBeNear(golden["out.official.alpha.peak"], 1e-5);
    }

    [Fact]
    public void The_plain_analysis_is_one_window_that_covers_the_weight()
    {
        foreach (string kind in new[] { "mid", "peak" })
        {
            double[] alphas = [.. Enumerable.Range(0, layers).Select(layer => Fit(kind, Plain(golden[$"in.W{layer}"])).Alpha)];
            alphas.ShouldBeNear(golden["out.alpha.plain_" + kind], kind == "mid" ? 1e-9 : 1e-6);
        }
    }

    [Fact]
    public void Ratios_and_learning_rates_are_reproduced()
    {
        double[] alphas = Alphas("mid");
        long[] counts = [.. Enumerable.Range(0, layers).Select(layer => golden[$"in.W{layer}"].numel())];
        double sparsity = golden.Number("target_sparsity");
        double epsilon = golden.Number("epsilon");
        int perBlock = golden.Integer("layers_per_block");
        double[] blocks = ExponentMaps.BlockMeans(alphas, [.. Enumerable.Range(0, layers).Select(layer => layer / perBlock)]);
        ExponentMaps.Ratios(alphas, counts, sparsity, epsilon).ShouldBeNear(golden["out.ratio.layer"], 1e-9);
        ExponentMaps.Ratios(blocks, counts, sparsity, epsilon).ShouldBeNear(golden["out.ratio.block"], 1e-9);
        ExponentMaps.LearningRates(alphas, golden.Number("global_lr"), golden.Number("lr_min_ratio"), golden.Number("lr_max_ratio")).ShouldBeNear(golden["out.lr"], 1e-9);
    }

    private static double[] Plain(TorchSharp.torch.Tensor weight) =>
        [.. TorchSharp.torch.linalg.svdvals(weight).square().data<double>().ToArray().Order()];

    private HillFit Fit(string kind, double[] spectrum) => kind == "mid"
        ? HillFit.Of(spectrum, TailStart.Median, golden.Number("xmin_pos"))
        : HillFit.Of(spectrum, TailStart.Peak, bins: golden.Integer("bins"));

    private double[] Alphas(string kind) => [.. spectra.Select(spectrum => Fit(kind, spectrum).Alpha)];

    private void Check(string kind, double tolerance, Func<double[], HillFit> fit)
    {
        var fits = spectra.Select(fit).ToList();
        fits.Select(found => found.Alpha).ToArray().ShouldBeNear(golden["out.alpha." + kind], tolerance);
        if (golden.Has("out.ks." + kind))
        {
            fits.Select(found => found.Distance).ToArray().ShouldBeNear(golden["out.ks." + kind], tolerance);
        }
    }
}
