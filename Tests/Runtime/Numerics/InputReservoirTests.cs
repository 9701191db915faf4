using PipelineDsl.Runtime.Numerics;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Numerics;

public sealed class InputReservoirTests
{
    [Fact]
    public void Few_vectors_are_all_kept_in_their_order()
    {
        using var reservoir = new InputReservoir(3, seed: 1, capacity: 8);
        reservoir.Add(Numbered(5));
        Compare.SameBits(reservoir.Sample(), Numbered(5)).ShouldBeTrue();
    }

    [Fact]
    public void Batches_do_not_matter_and_seeds_do()
    {
        Compare.SameBits(Sample(1, 200), Sample(1, 7, 1, 150, 42)).ShouldBeTrue();
        Compare.SameBits(Sample(1, 200), Sample(2, 200)).ShouldBeFalse();
    }

    [Fact]
    public void Every_vector_has_the_same_chance()
    {
        var hits = new int[4];
        for (int seed = 0; seed < 200; seed++)
        {
            foreach (float number in Sample(seed, 100).select(1, 0).data<float>().ToArray())
            {
                hits[(int)number / 25]++;
            }
        }

        hits.Sum().ShouldBe(200 * 8);
        hits.ShouldAllBe(count => Math.Abs(count - 400) < 80);
    }

    [Fact]
    public void Sampled_vectors_keep_their_order_and_come_once()
    {
        float[] numbers = Sample(3, 60, 60).select(1, 0).data<float>().ToArray();
        numbers.ShouldBe(numbers.Distinct().Order());
        numbers.Length.ShouldBe(8);
    }

    [Fact]
    public void Memory_is_bounded_and_given_back()
    {
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        using (NewDisposeScope())
        using (var reservoir = new InputReservoir(3, seed: 1, capacity: 8))
        {
            reservoir.Add(Numbered(300).reshape(2, 150, 3));
            reservoir.Sample().shape.ShouldBe([8, 3]);
            reservoir.Count.ShouldBe(300);
        }

        DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
    }

    [Fact]
    public void Vectors_that_hold_no_numbers_are_refused()
    {
        using var reservoir = new InputReservoir(1, seed: 1);
        Should.Throw<InvalidOperationException>(() => reservoir.Add(tensor(new[] { float.NaN }))).Message.ShouldBe("the layer's input holds NaN");
    }

    private static Tensor Numbered(long count) => arange(count, dtype: float32).unsqueeze(1).repeat(1, 3);

    private static Tensor Sample(long seed, params long[] batches)
    {
        using var reservoir = new InputReservoir(3, seed, capacity: 8);
        var all = Numbered(batches.Sum());
        foreach (var batch in all.split(batches))
        {
            reservoir.Add(batch);
        }

        return reservoir.Sample();
    }
}
