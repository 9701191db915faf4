using PipelineDsl.Runtime.Engine;
using PipelineDsl.Runtime.Statistics;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Decomposition;

public sealed class CordaSolverTests
{
    public static TheoryData<CordaMode, SigmaFuse, double> Adapters => new MatrixTheoryData<CordaMode, SigmaFuse, double>(
        Enum.GetValues<CordaMode>(), Enum.GetValues<SigmaFuse>(), [0, 9]);

    [Theory]
    [MemberData(nameof(Adapters))]
    public void An_adapter_changes_nothing_before_it_is_trained(CordaMode mode, SigmaFuse fuse, double alpha)
    {
        using var scope = NewDisposeScope();
        var step = new Corda { Rank = 3, Use = CordaUse.Adapter, Mode = mode, SigmaFuse = fuse, LoraAlpha = alpha };
        foreach (var (dtype, tolerance) in new[] { (float32, 1e-6), (float64, 1e-14) })
        {
            var problem = Problem(dtype);
            var solution = Solve(problem, step);
            var sum = solution.Weight.ShouldBeOfType<Sum>();
            sum.Materialize().ShouldBeNear(problem.Weight.Materialize(), tolerance);
            solution.Facts["relativeError"].ShouldBeLessThan(tolerance);
            solution.Facts["predictedLoss"].ShouldBe(0);
            if (dtype == float32)
            {
                sum.Bytes.ShouldBe(step.Predict(new LayerShape(LayerKinds.Linear, 14, 10), []).Sum(cost => cost.Bytes));
            }
        }
    }

    [Fact]
    public void The_scaling_does_not_change_what_the_adapter_takes()
    {
        using var scope = NewDisposeScope();
        var problem = Problem(float64);
        var plain = Solve(problem, new Corda { Rank = 3, Use = CordaUse.Adapter }).Weight;
        var scaled = Solve(problem, new Corda { Rank = 3, Use = CordaUse.Adapter, LoraAlpha = 24 }).Weight;
        scaled.Parts[1].ShouldBeOfType<Scaled>().Factor.ShouldBe(8);
        scaled.Parts[1].Materialize().ShouldBeNear(plain.Parts[1].Materialize(), 1e-12);
    }

    [Fact]
    public void Compression_keeps_the_slice_that_instruction_preview_would_train()
    {
        using var scope = NewDisposeScope();
        var problem = Problem(float64);
        var compressed = Solve(problem, new Corda { Rank = 3 });
        var adapter = Solve(problem, new Corda { Rank = 3, Use = CordaUse.Adapter });
        compressed.Weight.ShouldBeOfType<Product>().Materialize().ShouldBeNear(adapter.Weight.Parts[1].Materialize(), 1e-12);
        compressed.Facts["damping"].ShouldBe(0.01);
        compressed.Facts["inverseError"].ShouldBeLessThan(0.05);
    }

    [Fact]
    public void The_two_modes_share_out_the_energy()
    {
        using var scope = NewDisposeScope();
        var problem = Problem(float64);
        double first = Solve(problem, new Corda { Rank = 3, Use = CordaUse.Adapter }).Facts["energyKept"];
        double last = Solve(problem, new Corda { Rank = 7, Use = CordaUse.Adapter, Mode = CordaMode.KnowledgePreserved }).Facts["energyKept"];
        (first + last).ShouldBe(1, 1e-12);
        first.ShouldBeGreaterThan(last);
    }

    [Fact]
    public void Each_normalisation_uses_its_own_covariance()
    {
        using var scope = NewDisposeScope();
        var problem = Problem(float64);
        foreach (var normalization in Enum.GetValues<SampleNormalization>())
        {
            var step = new Corda { Rank = 3, SampleNormalization = normalization };
            var only = new LayerStatistics { Covariances = new Dictionary<StatisticKinds, Tensor> { [step.Needs] = problem.Statistics.Covariances[step.Needs] } };
            Solve(problem with { Statistics = only }, step).Notes.ShouldBeEmpty();
            Should.Throw<InvalidOperationException>(() => Solve(problem with { Statistics = LayerStatistics.None }, step)).Message.ShouldContain("covariance");
        }
    }

    [Fact]
    public void Directions_that_carry_nothing_keep_their_rank_and_are_noted()
    {
        using var scope = NewDisposeScope();
        var thin = LayerProblems.Weight(14, 8).mm(LayerProblems.Weight(8, 10));
        var problem = Problem(float64) with { Weight = new Dense(thin) };
        var solution = Solve(problem, new Corda { Rank = 3, Use = CordaUse.Adapter, Mode = CordaMode.KnowledgePreserved });
        solution.Notes.ShouldHaveSingleItem().ShouldStartWith("2 of the 3");
        solution.Weight.Parts[1].ShouldBeOfType<Product>().Left.Columns.ShouldBe(3);
        solution.Weight.Materialize().ShouldBeNear(thin, 1e-12);
    }

    [Fact]
    public void A_layer_that_sees_nothing_is_split_by_itself_with_a_note()
    {
        using var scope = NewDisposeScope();
        var problem = Problem(float32) with { Statistics = LayerProblems.Silent(14, 10) };
        Solve(problem, new Corda { Rank = 3 }).Notes.ShouldHaveSingleItem().ShouldContain("zero");
    }

    [Theory]
    [MemberData(nameof(Adapters))]
    public void The_same_layer_gives_the_same_bits_and_leaves_nothing_alive(CordaMode mode, SigmaFuse fuse, double alpha)
    {
        using var scope = NewDisposeScope();
        var problem = Problem(float32);
        var step = new Corda { Rank = 3, Use = CordaUse.Adapter, Mode = mode, SigmaFuse = fuse, LoraAlpha = alpha };
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var first = Solve(problem, step);
        var second = Solve(problem, step);
        first.Weight.Leaves().Zip(second.Weight.Leaves()).ShouldAllBe(pair => Compare.SameBits(pair.First.Tensor, pair.Second.Tensor));
        first.Release();
        second.Release();
        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    private static LayerProblem Problem(ScalarType dtype) => LayerProblems.Make(14, 10, LayerProblems.Inputs(10), dtype);

    private static LayerSolution Solve(LayerProblem problem, Corda step) => SolverCatalog.For(step).Solve(problem, step);
}
