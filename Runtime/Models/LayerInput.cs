using System.Runtime.CompilerServices;
using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Models;

/// <summary>What a compressed linear layer is called with, for a hook behind those that change the inputs on their way.</summary>
internal sealed class LayerInput
{
    private static readonly ConditionalWeakTable<nn.Module, LayerInput> Watched = [];

    /// <summary>The inputs of the call that this thread is in: a linear layer calls no other one.</summary>
    [ThreadStatic]
    private static Tensor? input;

    private LayerInput()
    {
    }

    /// <summary>Whether inputs are kept until they are taken.</summary>
    public bool IsWanted { get; set; }

    /// <summary>Watches a layer that has no hooks yet.</summary>
    public static void Watch(Linear linear)
    {
        if (Watched.TryGetValue(linear, out _))
        {
            return;
        }

        var watcher = new LayerInput();
        Watched.Add(linear, watcher);
        linear.register_forward_pre_hook((_, x) =>
        {
            input = watcher.IsWanted ? x : null;
            return x;
        });
    }

    /// <summary>The watcher of a layer, or null where inputs arrive as they are.</summary>
    public static LayerInput? Of(nn.Module module) => Watched.TryGetValue(module, out var watcher) ? watcher : null;

    /// <summary>The inputs of this thread's call.</summary>
    public static Tensor? Take()
    {
        var taken = input;
        input = null;
        return taken;
    }
}
