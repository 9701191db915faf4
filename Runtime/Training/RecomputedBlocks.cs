using PipelineDsl.Runtime.Adapters;
using PipelineDsl.Runtime.Reconstruction;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Training;

/// <summary>
/// Keeps of each block of a model only what goes in, and computes the rest again when its gradient is asked for (gradient checkpointing, arXiv:1604.06174): memory for one block's insides in
/// place of all, for one more pass through them.
/// </summary>
/// <remarks>The blocks are the elements of the outermost repeated container; the model's code stays as it is. Gradients are the same bits as without.</remarks>
internal sealed class RecomputedBlocks : IDisposable
{
    private readonly List<IDisposable> hooks = [];
    private readonly List<Call> calls = [];
    private Call? open;
    private bool recomputes;

    /// <summary>Watches the blocks of a model until disposed.</summary>
    /// <param name="modules">Every module of the model by path.</param>
    /// <param name="adapters">What is trained, by the path of its layer.</param>
    public RecomputedBlocks(IReadOnlyDictionary<string, nn.Module> modules, IReadOnlyList<(string Path, Adapter Adapter)> adapters)
    {
        Paths = [.. modules.Keys.Select(path => BlockPath.Of(path, modules)).Distinct(StringComparer.Ordinal)
            .Where(path => path.Split('.')[^1].All(char.IsAsciiDigit) && ModuleCalls.Of(modules[path]) is not null)];
        foreach (string path in Paths)
        {
            var block = new Block(path, ModuleCalls.Of(modules[path])!, [.. adapters.Where(item => BlockPath.Holds(path, item.Path)).Select(item => item.Adapter)]);
            hooks.Add(block.Module.WatchArguments(arguments => Enter(block, arguments)));
            hooks.Add(block.Module.ReplaceResult(result => Leave(block, result)));
        }
    }

    /// <summary>The blocks' paths; none where the model repeats nothing.</summary>
    public IReadOnlyList<string> Paths { get; }

    /// <summary>Forgets what earlier passes kept; called when their gradients have been computed.</summary>
    public void Forget()
    {
        open?.Dispose();
        open = null;
        calls.ForEach(call => call.Dispose());
        calls.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Forget();
        hooks.ForEach(hook => hook.Dispose());
    }

    private void Enter(Block block, object?[] arguments)
    {
        if (!recomputes && open is null && is_grad_enabled())
        {
            open = new(this, block, arguments);
        }
    }

    private object? Leave(Block block, object? result)
    {
        if (open is not { } call || call.Block != block)
        {
            return result;
        }

        open = null;
        call.EndOfPass();
        calls.Add(call);
        if (result is not Tensor output)
        {
            throw new NotSupportedException($"'{block.Path}' returns {result?.GetType().Name ?? "nothing"}, and only blocks that return one tensor can be computed again; leave out 'gradientCheckpointing'");
        }

        Tensor[] inputs = [.. call.Inputs, .. block.Trained];
        return inputs.Length == 0 ? output : Recomputation.Of(call, output, inputs);
    }

    private sealed record Block(string Path, ModuleCalls Module, IReadOnlyList<Adapter> Adapters)
    {
        public IReadOnlyList<Tensor> Trained { get; } = [.. Adapters.SelectMany(adapter => adapter.Parameters.Select(parameter => parameter.Value))];
    }

    /// <summary>One pass through a block: its arguments, and where its adapters stood.</summary>
    private sealed class Call : IDisposable
    {
        private readonly RecomputedBlocks owner;
        private readonly object?[] arguments;
        private readonly bool[] isInput;
        private readonly List<(TrainingPass Pass, int Drawn)> passes;
        private IDisposable? noGradients;

        public Call(RecomputedBlocks owner, Block block, object?[] arguments)
        {
            this.owner = owner;
            Block = block;
            Inputs = [.. arguments.OfType<Tensor>().Where(argument => argument.requires_grad)];
            isInput = [.. arguments.Select(argument => argument is Tensor { requires_grad: true })];
            this.arguments = [.. arguments.Select(argument => argument is Tensor tensor ? tensor.detach().DetachFromDisposeScope() : argument)];
            passes = [.. block.Adapters.Select(adapter => adapter.Pass).OfType<TrainingPass>().Select(pass => (pass, pass.Drawn))];
            noGradients = no_grad();
        }

        public Block Block { get; }

        /// <summary>The arguments that gradients flow into; the caller's.</summary>
        public IReadOnlyList<Tensor> Inputs { get; }

        public void EndOfPass()
        {
            noGradients?.Dispose();
            noGradients = null;
        }

        /// <summary>The gradients of the inputs and of what is trained, from that of the result; in the caller's dispose scope.</summary>
        public IReadOnlyList<Tensor> Differentiate(Tensor gradient)
        {
            using var scope = NewDisposeScope();
            using var gradients = enable_grad();
            var again = arguments.Select((argument, i) => isInput[i] ? ((Tensor)argument!).detach().requires_grad_(true) : argument).ToArray();
            int[] drawn = [.. passes.Select(pass => pass.Pass.Drawn)];
            passes.ForEach(pass => pass.Pass.Drawn = pass.Drawn);
            owner.recomputes = true;
            Tensor result;
            try
            {
                result = (Tensor)Block.Module.Call(again)!;
            }
            finally
            {
                owner.recomputes = false;
                for (int i = 0; i < drawn.Length; i++)
                {
                    passes[i].Pass.Drawn = drawn[i];
                }
            }

            Tensor[] inputs = [.. again.Where((_, i) => isInput[i]).Cast<Tensor>(), .. Block.Trained];
            return [.. autograd.grad([result], inputs, [gradient]).Select(found => found.MoveToOuterDisposeScope())];
        }

        public void Dispose()
        {
            EndOfPass();
            foreach (var tensor in arguments.OfType<Tensor>())
            {
                tensor.Dispose();
            }
        }
    }

    /// <summary>The result of a block as a function of its inputs and of what is trained in it.</summary>
    private sealed class Recomputation : autograd.SingleTensorFunction<Recomputation>
    {
        private const string Key = "call";

        /// <inheritdoc/>
        public override string Name => nameof(Recomputation);

        public static Tensor Of(Call call, Tensor result, Tensor[] inputs) => apply([call, result, .. inputs]);

        /// <inheritdoc/>
        public override Tensor forward(autograd.AutogradContext context, params object[] arguments)
        {
            context.save_data(Key, arguments[0]);
            using var scope = NewDisposeScope();
            using var noGradients = no_grad();
            return ((Tensor)arguments[1]).clone().MoveToOuterDisposeScope();
        }

        /// <inheritdoc/>
        public override List<Tensor> backward(autograd.AutogradContext context, Tensor gradient) =>
            [null!, null!, .. ((Call)context.get_data(Key)).Differentiate(gradient)];
    }
}
