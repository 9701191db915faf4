using PipelineDsl.Runtime.Quantization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>HQQ against the float64 reference, groups down columns (axis 0) and along rows (axis 1).</summary>
[Trait("Category", "Golden")]
public sealed class HqqGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("quant-baselines");

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Codes_zero_points_and_the_trace_equal_the_reference(int axis)
    {
        using var scope = NewDisposeScope();
        string prefix = $"out.hqq.axis{axis}.";
        var codes = golden[prefix + "codes"];
        var groups = axis == 0 ? golden["in.weight"].reshape(codes.shape).mT.contiguous() : golden["in.weight"].reshape(codes.shape);
        var fitted = HalfQuadratic.Of(groups, Step());
        var found = axis == 0 ? fitted.Codes.mT : fitted.Codes;
        found.to(int64).eq(codes.to(int64)).all().item<bool>().ShouldBeTrue();
        fitted.InverseScales.reshape(-1).reciprocal().ShouldBeNear(golden[prefix + "scale"].reshape(-1), 1e-10);
        fitted.Zeros.reshape(-1).ShouldBeNear(golden[prefix + "zero"].reshape(-1), 1e-10);
        tensor(fitted.Errors.ToArray()).ShouldBeNear(golden[prefix + "mean_abs_err"], 1e-10);
    }

    private Hqq Step()
    {
        double Setting(string pattern) => double.Parse(System.Text.RegularExpressions.Regex.Match(golden.Setting("hqq"), pattern).Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);
        return new() { Bits = (int)Setting(@"(\d+) bit"), Norm = Setting(@"lp ([\d.]+)"), Beta = Setting(@"beta ([\d.]+)"), Iterations = (int)Setting(@"(\d+) iters") };
    }
}
