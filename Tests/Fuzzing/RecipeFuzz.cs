using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Recipes.Parsing;

namespace PipelineDsl.Fuzzing;

/// <summary>Broken recipes through parser, binder and resolver.</summary>
internal static class RecipeFuzz
{
    private static readonly string[] Seeds =
    [
        "recipe: r\nmodel: M\nweights: w.safetensors\ncalibrate: { data: c.txt, samples: 128, sequenceLength: 256 }\nsteps:\n  - match: \"model.layers.*.{q,k}_proj\"\n    corda: { rank: 8, damping: 0.02 }\n    quantize: { bits: 4, groupSize: 16 }\n  - match: \"**\"\n    keep:\nevaluate: { data: t.txt, metric: perplexity, maxRegression: 5% }\n",
        "recipe: r\nmodel: M\nweights: w\nbudget: 60%\nallocate: farms\nexport: [ gptq, gguf ]\ncalibrate: { data: c.txt }\nsteps:\n  - match: \"model.{layers.{0,1},other}.**\"\n    decompose: { orientation: whitened }\n  - match: conv\n    vq4Dit: { codewords: 16 }\n",
        "recipe: r\nextends: base\nseed: -9223372036854775808\ntrain: { data: t.jsonl, validation: v.jsonl, epochs: 1.5, patience: 3, warmUp: 3%, optimizer: dctAdamW }\nsteps:\n  - match: lm_head\n    lqLora: { rank: 8 }\n",
        "{ \"recipe\": \"r\", \"model\": \"M\", \"weights\": \"w\", \"version\": 1, \"tokenizer\": 't.json', \"steps\": [ { \"match\": \"lm_head\", \"svdQuant\": { \"rank\": 4 } } ] }",
        "--- # a comment\nrecipe: \"r\\u00e9\\x41\"\nmodel: >-\n  folded\n  text\nweights: |\n  block\nsteps:\n  -   match: '**.q_proj'\n      gptq: {}\n...\n",
    ];

    private static readonly string[] Words =
    [
        "{", "}", "[", "]", ":", ": ", "- ", "? ", "&a ", "*a", "!!int ", "!", "|", ">", "\"", "'", "%YAML 1.2\n", "---\n", "...\n", "\t", "\r\n", "\n", "\u0085", "\u2028", "\uFEFF", "\0", "#", ",", "{a,b}", "{,}", "**", "*", ".", "..", "@", "`",
        "<<: ", "~", "null", ".nan", ".inf", "-.inf", "0x1F", "1_000", "yes", "rank", "bits", "match", "steps", "keep", "quantize", "budget", "bpw", "KB", "extends: r\n", "\\", "\\u", "\\UFFFFFFFF", "//", "../", "C:\\", "\U0001F600", "\uFFFD", "{{", "}}", "{a}",
    ];

    private static readonly ParsedRecipe Base = RecipeParser.Parse("recipe: base\nmodel: M\nweights: w.safetensors\nsteps:\n  - match: \"model.layers.**\"\n    quantize:\n", "base.yaml");

    private static readonly LayerCandidate[] Layers =
    [
        .. Enumerable.Range(0, 32).SelectMany(layer => new[] { "q_proj", "k_proj" }.Select(name => Layer($"model.layers.{layer}.{name}", LayerKinds.Linear, 64, 64))),
        Layer("conv", LayerKinds.Conv2d, 64, 576), new("norm", "LayerNorm", LayerKinds.None, null), Layer("lm_head", LayerKinds.Linear, 512, 64), new("open.**", "Module", null, null),
    ];

    /// <summary>Breaks and reads recipes.</summary>
    public static FuzzingResult Run(int cases, int seed)
    {
        var mutations = new Mutations([.. Seeds.Select(Encoding.UTF8.GetBytes)], [.. Words.Select(Encoding.UTF8.GetBytes)], seed);
        return Fuzzer.Run(cases, mutations.Next, Read);
    }

    /// <summary>True for a recipe without errors; throws when a mistake has no code, no text or no place in the file.</summary>
    private static bool Read(byte[] bytes)
    {
        string text = Encoding.UTF8.GetString(bytes);
        var parsed = RecipeParser.Parse(text, "r.yaml");
        var problems = parsed.Diagnostics.ToList();
        var known = new Dictionary<string, ParsedRecipe>(StringComparer.Ordinal) { ["base"] = Base };
        if (parsed.Draft.Name is { } name)
        {
            known[name] = parsed;
        }

        if (new RecipeBinder(known, allowOutsidePaths: false).Bind(parsed, problems.Add) is { } recipe)
        {
            RecipeResolver.Resolve(recipe, Layers, problems.Add);
        }
        else if (!problems.Exists(problem => problem.Severity == Severity.Error))
        {
            throw new InvalidOperationException("it is no recipe, and no error says why");
        }

        int lines = 2 + text.Count(character => character is '\n' or '\r' or '\u0085' or '\u2028' or '\u2029');
        foreach (var problem in problems)
        {
            if (!problem.Id.StartsWith("PDSL1", StringComparison.Ordinal) && problem.Id != DiagnosticIds.NotCompressible)
            {
                throw new InvalidOperationException($"the code is {problem.Id}");
            }

            if (problem.Message.Length is 0 or > MaxMessage || problem.Span.Line < 1 || problem.Span.Line > lines || problem.Span.Column < 1)
            {
                throw new InvalidOperationException($"{problem.Span} {problem.Message.Length} characters of {lines} lines: {problem.Message[..Math.Min(200, problem.Message.Length)]}");
            }
        }

        return !problems.Exists(problem => problem.Severity == Severity.Error);
    }

    private const int MaxMessage = 5000;

    private static LayerCandidate Layer(string path, LayerKinds kind, long rows, long columns) => new(path, kind.ToString(), kind, new(kind, rows, columns));
}
