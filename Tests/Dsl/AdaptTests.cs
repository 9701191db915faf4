using PipelineDsl.Diagnostics;

namespace PipelineDsl.Dsl.Tests;

/// <summary>What steps that are trained say about layers before anything runs.</summary>
public sealed class AdaptTests
{
    private static readonly LayerShape Linear = new(LayerKinds.Linear, 64, 48);
    private static readonly LayerShape Table = new(LayerKinds.Embedding, 512, 48);
    private static readonly LayerShape Convolution = new(LayerKinds.Conv2d, 32, 16 * 9) { Kernel = new(3, 3, 1) };

    [Fact]
    public void All_of_them_are_trained_and_come_last()
    {
        Adapt[] steps = [.. StepCatalog.Steps.Select(step => step.Create()).OfType<Adapt>()];
        steps.Length.ShouldBe(7);
        steps.ShouldAllBe(step => step.IsTrained && step.Stage == Enum.GetValues<Stage>().Max() && !step.NeedsCalibration);
        StepCatalog.Steps.Select(step => step.Create()).Where(step => step.IsTrained).Except<Step>(steps).Select(step => step.GetType()).ShouldBe([typeof(LqLora)]);
        new Corda { Use = CordaUse.Adapter }.IsTrained.ShouldBeTrue();
    }

    [Fact]
    public void What_stands_beside_the_weight_is_added_to_its_bytes()
    {
        Bytes(new Lora { Rank = 4 }, Linear).ShouldBe(1000 + (4 * 4 * (64 + 48)));
        Bytes(new Lora { Rank = 4, WeightDecomposed = true }, Linear).ShouldBe(1000 + (4 * ((4 * (64 + 48)) + 64)));
        Bytes(new Lora { Rank = 4, WeightDecomposed = true }, Table).ShouldBe(1000 + (4 * ((4 * (512 + 48)) + 48)));
        Bytes(new Bone { Rank = 8 }, Linear).ShouldBe(1000 + (4 * 8 * (64 + 48)));
        Bytes(new Flora(), Convolution).ShouldBe(1000 + (4 * 8 * (32 + 144)));
        Bytes(new Flora { Ranks = "3x5" }, Linear).ShouldBe(1000 + (4 * 3 * (64 + 48)));
        Bytes(new Tlora { TransformRank = 0, Residual = TloraResidual.RingVector, Rank = 2 }, Linear).ShouldBe(1000 + (4 * 4 * (64 + 48)));
    }

    [Fact]
    public void What_becomes_one_weight_takes_what_the_weight_took()
    {
        Adapt[] steps = [new Lora { Start = LoraStart.Pissa }, new Bat { Rank = 16 }, new Soka(), new Tlora(), new Tlora { TransformRank = 0, Residual = TloraResidual.RingMatrix }, new FineTune()];
        steps.ShouldAllBe(step => !step.KeepsBase && Bytes(step, Linear) == 1000);
    }

    [Fact]
    public void Numbers_to_train_follow_from_the_shape()
    {
        new Lora { Rank = 4 }.TrainedNumbers(Linear).ShouldBe(448);
        new Bone { Rank = 8, MiniRank = 16 }.TrainedNumbers(Linear).ShouldBe(128);
        new Bat { Rank = 16 }.TrainedNumbers(Linear).ShouldBe(4 * 256);
        new FineTune().TrainedNumbers(Convolution).ShouldBe(Convolution.Count);
        new Tlora { Rank = 3 }.TrainedNumbers(Linear).ShouldBe(16 + 16 + 9 + (3 * 112));
        new Flora().TrainedNumbers(Convolution).ShouldBe((8 * 8 * 2 * 2) + (16 * 8) + (32 * 8) + 6 + 6);

        // 8 x 6 of 8 x 8 blocks: no more terms than the smaller of both, and what a limit says.
        new Soka().TrainedNumbers(Linear).ShouldBe(48 * (48 + 64));
        new Soka { MaxRank = 2 }.TrainedNumbers(Linear).ShouldBe(2 * (48 + 64));
    }

    [Fact]
    public void Settings_that_do_not_fit_are_named()
    {
        Expect(new Lora { Rank = 49 }, Linear, DiagnosticIds.RankTooLarge, "rank 49 exceeds min(in=48, out=64); use at most 48");
        Expect(new Lora(), Convolution with { Kernel = new(3, 3, 2) }, DiagnosticIds.NotCompressible, "2 groups");
        Expect(new Bone { Rank = 49 }, Linear, DiagnosticIds.RankTooLarge, "wider than the 48 inputs");
        Expect(new Bone { Rank = 8, MiniRank = 5 }, Linear, DiagnosticIds.InvalidValue, "does not divide the 64 outputs");
        Expect(new Bat(), Linear, DiagnosticIds.RankTooLarge, "use at most 48");
        Expect(new Soka { LeftColumns = 5 }, Linear, DiagnosticIds.InvalidValue, "5 does not divide the 48 inputs");
        Expect(new Soka(), Linear with { Rows = 61 }, DiagnosticIds.InvalidValue, "the 61 outputs have no divisor");
        Expect(new Soka { MinRank = 3, MaxRank = 2 }, Linear, DiagnosticIds.ContradictorySettings, "above 'maxRank: 2'");
        Expect(new Tlora { OutputShape = "8x" }, Linear, DiagnosticIds.InvalidValue, "'outputShape' is '8x'");
        Expect(new Tlora { Residual = TloraResidual.RingMatrix, InputShape = "6x8" }, Linear, DiagnosticIds.ContradictorySettings, "inputs (2) as of the outputs (3)");
        Expect(new Flora { Ranks = "8x8" }, Convolution, DiagnosticIds.InvalidValue, "2 ranks for a weight of 4 axes");
        Expect(new Flora { Ranks = "8x8x4x1" }, Convolution, DiagnosticIds.RankTooLarge, "16x32x3x3");
        new Flora { Ranks = "8x8" }.Check(Convolution with { Kernel = null }, new HashSet<string>()).ShouldBeEmpty();
    }

    private static long Bytes(Step step, LayerShape layer)
    {
        step.Check(layer, new HashSet<string>()).ShouldBeEmpty();
        return step.Predict(layer, [new(layer.Rows, layer.Columns, 1000)]).Sum(cost => cost.Bytes);
    }

    private static void Expect(Adapt step, LayerShape layer, string id, string message)
    {
        var problem = step.Check(layer, new HashSet<string>()).ShouldHaveSingleItem();
        problem.Id.ShouldBe(id);
        problem.Message.ShouldContain(message);
    }
}
