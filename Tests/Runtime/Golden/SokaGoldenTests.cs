using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Tests.Adapters;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>SoKA against the reference.</summary>
[Trait("Category", "Golden")]
public sealed class SokaGoldenTests
{
    private readonly GoldenFile golden = GoldenFile.Open("soka");

    private KroneckerTerms Terms => new(golden.Integer("m1"), golden.Integer("n1"), golden.Integer("m2"), golden.Integer("n2"));

    private Soka Method => new() { LeftRows = golden.Integer("m1"), LeftColumns = golden.Integer("n1"), EnergyThreshold = golden.Number("energy_threshold"), MaxRank = golden.Integer("max_rank") };

    [Fact]
    public void The_rearrangement_its_spectrum_and_the_ranks_are_the_reference_s()
    {
        using var scope = NewDisposeScope();
        Terms.Rearrange(golden["in.W"]).ShouldBeNear(golden["out.R"], 0);
        var (sigma, _, _) = Terms.Decompose(golden["in.W"]);
        sigma.ShouldBeNear(golden["out.sigma"], 1e-11);
        double[] values = [.. sigma.data<double>()];
        SpectrumRank.OfEnergy(values, golden.Number("energy_threshold")).ShouldBe((int)golden.Scalar("out.rank_energy"));
        SpectrumRank.OfChord(values).ShouldBe((int)golden.Scalar("out.rank_elbow_chord"));
        SpectrumRank.OfGap(values).ShouldBe((int)golden.Scalar("out.rank_elbow_gap"));
        SpectrumRank.Of(Method, values).ShouldBe((int)golden.Scalar("out.rank"));
        sigma.square().cumsum(0).div(sigma.square().sum()).ShouldBeNear(golden["out.cum_energy"], 1e-11);
    }

    [Fact]
    public void The_start_the_trained_state_and_the_gradients_are_the_reference_s()
    {
        using var scope = NewDisposeScope();
        var (x, bias) = (golden["in.x"], golden["in.bias"]);
        using var adapter = Method.Attach(golden["in.W"], LayerOperation.Linear, 1);
        // The sign of a pair is free, and the reference chooses its own.
        var (a, b) = (adapter.Parameters[0].Value.detach(), adapter.Parameters[1].Value.detach());
        var sign = a.mul(golden["out.A0"]).sum([1, 2], keepdim: true).sign();
        a.mul(sign).ShouldBeNear(golden["out.A0"], 1e-10);
        b.mul(sign).ShouldBeNear(golden["out.B0"], 1e-10);
        adapter.BaseWeight.ShouldBeNear(golden["out.W_res"], 1e-11);
        (golden["in.W"] - adapter.BaseWeight).ShouldBeNear(golden["out.principal"], 1e-11);
        adapter.Output(x, bias).ShouldBeNear(golden["out.y_before"], 1e-12);

        adapter.With(golden["out.A0"] + golden["in.dA"], golden["out.B0"] + golden["in.dB"]);
        adapter.Output(x, bias).ShouldBeNear(golden["out.y_after"], 1e-11);
        adapter.Merge().ShouldBeNear(golden["out.W_merged"], 1e-11);
        var gradients = adapter.Gradients(x, golden["in.grad_y"]);
        gradients["A"].ShouldBeNear(golden["out.grad_A"], 1e-11);
        gradients["B"].ShouldBeNear(golden["out.grad_B"], 1e-11);
        adapter.ShouldMerge(x);
    }

    [Fact]
    public void What_is_left_has_the_energy_of_the_values_left_out_at_every_rank()
    {
        using var scope = NewDisposeScope();
        var weight = golden["in.W"];
        var (sigma, left, right) = Terms.Decompose(weight);
        var expected = golden["out.residual_norm"];
        for (int rank = 0; rank <= sigma.shape[0]; rank++)
        {
            using var inner = NewDisposeScope();
            double norm = Compare.Norm(weight - Terms.Sum(left.narrow(0, 0, rank), right.narrow(0, 0, rank)));
            Math.Abs(norm - expected[rank].item<double>()).ShouldBeLessThan(1e-10 * Compare.Norm(weight));
            Math.Abs((norm * norm) - sigma.narrow(0, rank, sigma.shape[0] - rank).square().sum().item<double>()).ShouldBeLessThan(1e-10 * Math.Pow(Compare.Norm(weight), 2));
        }
    }
}
