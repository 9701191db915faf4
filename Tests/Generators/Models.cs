namespace PipelineDsl.Generators.Tests;

/// <summary>Model sources and recipes that the tests share.</summary>
internal static class Models
{
    /// <summary>A small language model whose layers a YAML recipe speaks of.</summary>
    public const string Llama = """
        using TorchSharp;
        using TorchSharp.Modules;
        using static TorchSharp.torch;
        using static TorchSharp.torch.nn;

        namespace Stories;

        public sealed partial class StoryLlama : Module<Tensor, Tensor>
        {
            private readonly Body model;
            private readonly Module<Tensor, Tensor> lm_head;

            public StoryLlama() : base("StoryLlama")
            {
                model = new Body();
                lm_head = Linear(64, 512, hasBias: false);
                RegisterComponents();
            }

            public override Tensor forward(Tensor input) => lm_head.call(model.call(input));

            public sealed class Body : Module<Tensor, Tensor>
            {
                private readonly Embedding embed_tokens = Embedding(512, 64);
                private readonly ModuleList<Block> layers = new(new Block(), new Block());
                private readonly LayerNorm norm = LayerNorm(64);

                public Body() : base("Body") => RegisterComponents();

                public override Tensor forward(Tensor input) => norm.call(layers[0].call(embed_tokens.call(input)));
            }
        }

        public sealed class Block : Module<Tensor, Tensor>
        {
            private const int Width = 64;
            private readonly Linear q_proj = Linear(Width, Width, hasBias: false);
            private readonly Linear k_proj = Linear(Width, Width / 2, hasBias: false);
            private readonly Sequential mlp = Sequential(("up", Linear(Width, 172)), ("act", ReLU()), ("down", Linear(172, Width)));

            public Block() : base("Block") => RegisterComponents();

            public override Tensor forward(Tensor input) => mlp.call(q_proj.call(input) + k_proj.call(input).sum());
        }
        """;

    /// <summary>A correct recipe for <see cref="Llama"/>.</summary>
    public const string Tiny = """
        recipe: tiny
        model: Stories.StoryLlama
        weights: weights/stories.safetensors
        calibrate: { data: data/calibration.txt, samples: 64 }
        steps:
          - match: "model.layers.*.{q,k}_proj"
            corda: { rank: 8, damping: 0.02 }
            quantize: { bits: 4, groupSize: 16 }
          - match: "**.mlp.*"
            quantize:
        evaluate: { data: data/test.txt, maxRegression: 5% }
        """;

    /// <summary>Code that uses what the generator makes of <see cref="Tiny"/>.</summary>
    public const string TinyConsumer = """
        internal static class Consumer
        {
            internal static Stories.StoryLlama Load() => Stories.StoryLlama.LoadTiny();
            internal static Stories.StoryLlama LoadToo() => Stories.TinyPipeline.Load(Stories.TinyPipeline.ArtifactPath);
        }
        """;

    /// <summary>A model with its recipe in attributes.</summary>
    public const string Mlp = """
        using PipelineDsl;
        using TorchSharp;
        using TorchSharp.Modules;
        using static TorchSharp.torch;
        using static TorchSharp.torch.nn;

        namespace Digits;

        [Recipe("small-mlp", Weights = "weights/mlp.safetensors", Seed = 7)]
        [Calibrate("data/digits.safetensors", Samples = 32)]
        [Evaluate("data/test.safetensors", Metric = Metric.Accuracy, MaxRegression = 0.01)]
        public class Mlp : Module<Tensor, Tensor>
        {
            [Decompose(Rank = 16, Orientation = Orientation.Whitened)]
            [Quantize(Bits = 8)]
            private readonly Linear fc1;
            [Quantize(Bits = 4, GroupSize = 16)] private readonly Linear fc2 = Linear(128, 10);

            public Mlp() : base("Mlp")
            {
                this.fc1 = Linear(64, 128);
                RegisterComponents();
            }

            public override Tensor forward(Tensor input) => fc2.call(fc1.call(input).relu());
        }
        """;
}
