using PipelineDsl.Runtime.Optimization;
using PipelineDsl.Runtime.Tests.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Golden;

/// <summary>AdamW, Adam, SGD, clipping, schedules and 8-bit states against PyTorch's own and the official construction.</summary>
[Trait("Category", "Golden")]
public sealed class OptimBaselinesGoldenTests
{
    private static readonly string[] Tensors = ["vec", "mat", "conv"];

    private readonly GoldenFile golden = GoldenFile.Open("optim-baselines");

    [Fact]
    public void AdamW_goes_the_reference_s_way()
    {
        using var scope = NewDisposeScope();
        foreach (string name in Tensors)
        {
            Trajectory.Of(AdamW, golden[$"in.{name}.w0"], golden[$"in.{name}.grad"]).ShouldBeNear(golden[$"out.{name}.adamw.w"], 1e-12);
        }
    }

    [Fact]
    public void Adam_with_decay_in_the_gradient_ends_where_the_reference_does()
    {
        using var scope = NewDisposeScope();
        var rule = new Adam(golden.Number("lr")) { Beta1 = golden.Number("beta1"), Beta2 = golden.Number("beta2"), Epsilon = golden.Number("eps"), WeightDecay = golden.Number("weight_decay") };
        foreach (string name in Tensors)
        {
            Trajectory.Of(rule, golden[$"in.{name}.w0"], golden[$"in.{name}.grad"])[-1].ShouldBeNear(golden[$"out.{name}.adam_l2.w"], 1e-12);
        }
    }

    [Fact]
    public void Sgd_ends_where_the_reference_does()
    {
        using var scope = NewDisposeScope();
        var rule = new Sgd(golden.Number("lr")) { Momentum = golden.Number("sgd_momentum"), Nesterov = bool.Parse(golden.Setting("sgd_nesterov")), WeightDecay = golden.Number("weight_decay") };
        foreach (string name in Tensors)
        {
            Trajectory.Of(rule, golden[$"in.{name}.w0"], golden[$"in.{name}.grad"])[-1].ShouldBeNear(golden[$"out.{name}.sgd.w"], 1e-12);
        }
    }

    [Fact]
    public void Clipping_by_the_common_norm_under_a_cosine_ends_where_the_reference_does()
    {
        using var scope = NewDisposeScope();
        var leaves = Tensors.Select(name => Trajectory.Leaf(golden[$"in.{name}.w0"], out _)).ToArray();
        using var optimizer = new Optimizer([new(AdamW, leaves)]);
        var schedule = new LearningSchedule(TrainingSchedule.Cosine, golden.Integer("clip_cosine_total")) { WarmUp = golden.Integer("clip_cosine_warmup"), Floor = golden.Number("clip_cosine_floor") };
        var norms = new List<double>();
        for (int step = 0; step < golden["out.grad_norm"].numel(); step++)
        {
            for (int i = 0; i < leaves.Length; i++)
            {
                leaves[i].grad = golden[$"in.{Tensors[i]}.grad"][step].clone();
            }

            norms.Add(optimizer.Clip(golden.Number("clip_max_norm")));
            optimizer.Step(schedule.At(step));
        }

        norms.ToArray().ShouldBeNear(golden["out.grad_norm"], 1e-12);
        for (int i = 0; i < leaves.Length; i++)
        {
            leaves[i].detach().ShouldBeNear(golden[$"out.{Tensors[i]}.adamw_clip_cosine.w"], 1e-12);
        }
    }

    [Theory]
    [InlineData(TrainingSchedule.Constant)]
    [InlineData(TrainingSchedule.Linear)]
    [InlineData(TrainingSchedule.Cosine)]
    [InlineData(TrainingSchedule.Wsd)]
    public void Schedules_equal_the_reference(TrainingSchedule shape)
    {
        using var scope = NewDisposeScope();
        var schedule = new LearningSchedule(shape, golden.Integer("sched_total")) { WarmUp = golden.Integer("sched_warmup"), Decay = golden.Integer("sched_decay"), Floor = golden.Number("sched_floor") };
        var expected = golden[$"out.schedule.{shape.ToString().ToLowerInvariant()}"];
        Enumerable.Range(0, (int)expected.numel()).Select(schedule.At).ToArray().ShouldBeNear(expected, 1e-12);
    }

    [Theory]
    [InlineData("signed")]
    [InlineData("unsigned")]
    public void Eight_bit_codes_equal_the_reference(string kind)
    {
        using var scope = NewDisposeScope();
        golden.Integer("q8_block").ShouldBe(BlockwiseCodes.BlockSize);
        var format = kind == "signed" ? BlockwiseCodes.Signed : BlockwiseCodes.Unsigned;
        format.Map.ShouldBeNear(golden[$"out.q8.{kind}.map"], 1e-7);
        var (codes, scales) = format.Encode(golden[$"in.q8.{kind}.x"]);
        Compare.SameBits(codes, golden[$"out.q8.{kind}.codes"]).ShouldBeTrue();
        Compare.SameBits(scales, golden[$"out.q8.{kind}.absmax"]).ShouldBeTrue();
        format.Decode(codes, scales).ShouldBeNear(golden[$"out.q8.{kind}.dequant"], 1e-6);
    }

    private AdamW AdamW => new(golden.Number("lr")) { Beta1 = golden.Number("beta1"), Beta2 = golden.Number("beta2"), Epsilon = golden.Number("eps"), WeightDecay = golden.Number("weight_decay") };
}
