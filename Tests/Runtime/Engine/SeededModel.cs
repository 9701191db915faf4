using TorchSharp.Modules;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>Weights from a generator of their own: tests run in parallel, and the library's own generator is one for all of them.</summary>
internal static class SeededModel
{
    /// <summary>Draws what the library's layers would begin with.</summary>
    public static T WithWeights<T>(this T model, Generator generator)
        where T : nn.Module
    {
        using var scope = NewDisposeScope();
        using var noGradients = no_grad();
        foreach (var module in model.modules())
        {
            if (module is Embedding { weight: { } table })
            {
                table.copy_(randn(table.shape, generator: generator));
            }
            else if (module is Linear or Conv2d)
            {
                var weight = module.get_parameter("weight")!;
                double bound = 1 / Math.Sqrt((double)weight.numel() / weight.shape[0]);
                foreach (var parameter in module.parameters())
                {
                    parameter.copy_(rand(parameter.shape, generator: generator).mul_(2 * bound).sub_(bound));
                }
            }
        }

        return model;
    }
}
