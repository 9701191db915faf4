using System.Runtime.CompilerServices;
using PipelineDsl.Runtime.Native;

namespace PipelineDsl.Runtime.Tests.Native;

/// <summary>Alone, because other tests of this assembly hold the gate as well.</summary>
[CollectionDefinition(nameof(FinalizerGateTests), DisableParallelization = true)]
[Collection(nameof(FinalizerGateTests))]
public sealed class FinalizerGateTests
{
    [Fact]
    public void Nothing_is_finalised_while_the_gate_is_closed()
    {
        var finalised = new Flag();
        using (FinalizerGate.Close())
        {
            Abandon(finalised);
            GC.Collect();
            Thread.Sleep(50);
            finalised.Raised.ShouldBeFalse();
        }

        finalised.Raised.ShouldBeTrue();
    }

    [Fact]
    public void The_gate_stays_closed_until_the_last_holder_leaves()
    {
        var finalised = new Flag();
        var first = FinalizerGate.Close();
        using (FinalizerGate.Close())
        {
            first.Dispose();
            first.Dispose();
            Abandon(finalised);
            GC.Collect();
            Thread.Sleep(50);
            finalised.Raised.ShouldBeFalse();
        }

        finalised.Raised.ShouldBeTrue();
    }

    [Fact]
    public void Draining_lets_what_waits_be_finalised()
    {
        var finalised = new Flag();
        using (FinalizerGate.Close())
        {
            Abandon(finalised);
            GC.Collect();
            Thread.Sleep(TimeSpan.FromSeconds(0.6));
            FinalizerGate.Drain();
            finalised.Raised.ShouldBeTrue();
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Abandon(Flag flag) => _ = new Witness(flag);

    private sealed class Flag
    {
        public volatile bool Raised;
    }

    private sealed class Witness(Flag flag)
    {
        ~Witness() => flag.Raised = true;
    }
}
