using TorchSharp.Modules;

using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace PipelineDsl.Cli.Tests.Modules;

#pragma warning disable CA1812 // Their metadata is read; nobody makes them.

internal abstract class Common(string name) : Module<Tensor, Tensor>(name)
{
    protected readonly Linear shared = Linear(8, 8);

    public override Tensor forward(Tensor input) => shared.call(input);
}

internal sealed class Part() : Common(nameof(Part));

internal sealed class Whole(int width = 8) : Common(nameof(Whole))
{
    internal static readonly Part Never = new();

    private readonly ModuleList<Part> parts = new();

    public int Width { get; } = width;

    public override Tensor forward(Tensor input) => parts[0].call(base.forward(input));
}

internal sealed class NeedsArguments(int width) : Common(nameof(NeedsArguments))
{
    public int Width { get; } = width;
}

internal sealed class Generic<T>() : Common(nameof(Generic<T>));

internal sealed class Outer
{
    internal sealed class Inside() : Common(nameof(Inside));

    private sealed class Hidden() : Common(nameof(Hidden));
}

internal sealed class NoModule
{
    public Part? Part { get; set; }
}
