using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Recipes.Parsing;

namespace PipelineDsl.Dsl.Tests;

public sealed class RecipeParserTests
{
    private const string Valid = """
        # yaml-language-server: $schema=recipe.schema.json
        recipe: balanced
        version: 1
        model: Stories.StoryLlama
        weights: weights/stories.safetensors
        tokenizer: weights/tokenizer.json
        seed: 42
        calibrate: { data: data/calibration.txt, samples: 64, sequenceLength: 128 }
        steps:
          - match: "layers.*.{q,k}_proj"   # a comment
            corda: { rank: 24, sampleNormalization: max }
            quantize: { bits: 3, granularity: channel, symmetric: false }
          - match: "**.norm"
            keep: {}
          - match: head
            keep:
        evaluate: { data: data/test.txt, metric: accuracy, maxRegression: 5% }
        """;

    [Theory]
    [InlineData("gguf", ExportFormats.Gguf)]
    [InlineData("[ gptq, compressedTensors, bitsandbytes ]", ExportFormats.Gptq | ExportFormats.CompressedTensors | ExportFormats.Bitsandbytes)]
    [InlineData("none", ExportFormats.None)]
    public void Exports_are_one_format_or_a_list(string written, ExportFormats formats)
    {
        var parsed = Read(Valid + "\nexport: " + written);
        parsed.Diagnostics.ShouldBeEmpty();
        parsed.Draft.Export!.Formats.ShouldBe(formats);
        Read(Valid).Draft.Export.ShouldBeNull();
    }

    [Theory]
    [InlineData("[ gguff ]", "PDSL1004: 'export' is 'gguff'; it must be one of none, gptq, compressedTensors, bitsandbytes, gguf; did you mean 'gguf'?")]
    [InlineData("[ gguf, gguf ]", "PDSL1004: 'gguf' stands twice in 'export'; keep one of them")]
    [InlineData("[ none, gguf ]", "PDSL1004: 'none' has no place in a list of formats; drop it")]
    [InlineData("{ gguf: 4 }", "PDSL1001: 'export' is a mapping; write one text")]
    public void A_wrong_export_is_one_error(string written, string expected) =>
        Read(Valid + "\nexport: " + written).Diagnostics.ShouldHaveSingleItem().ToString().ShouldContain(expected);

    [Fact]
    public void A_valid_recipe_is_read_whole()
    {
        var draft = Read(Valid).Draft;
        (draft.Name, draft.Model!.Text, draft.Weights!.Text, draft.Tokenizer!.Text, draft.Seed).ShouldBe(("balanced", "Stories.StoryLlama", "weights/stories.safetensors", "weights/tokenizer.json", 42));
        draft.Calibrate.ShouldBe(new Calibration("data/calibration.txt", 64, 128, new("r.yaml", 8, 1, 8, 10), new("r.yaml", 8, 20, 8, 40)));
        draft.Evaluate.ShouldBe(new Evaluation("data/test.txt", Metric.Accuracy, 256, 0.05, new("r.yaml", 17, 67, 17, 69), new("r.yaml", 17, 19, 17, 32)));
        draft.Rules.Select(rule => rule.Match).ShouldBe(["layers.*.{q,k}_proj", "**.norm", "head"]);
        draft.Rules[0].Steps.Select(step => step.Step).ShouldBe([new Corda { Rank = 24, SampleNormalization = SampleNormalization.Max }, new Quantize { Bits = 3, Granularity = Granularity.Channel, Symmetric = false }]);
        draft.Rules[0].Steps[0].Given.ShouldBe([new("Rank", new("r.yaml", 11, 20, 11, 22)), new("SampleNormalization", new("r.yaml", 11, 45, 11, 48))], ignoreOrder: true);
        draft.Rules[1].Steps.ShouldHaveSingleItem().Step.ShouldBe(new Keep());
        draft.Rules[2].Steps.ShouldHaveSingleItem().Step.ShouldBe(new Keep());
    }

    [Theory]
    [InlineData("recipe: a\nextends: b\n")]
    [InlineData("recipe: a\nextends: b\nsteps: []\n")]
    [InlineData("{recipe: a, extends: b}")]
    [InlineData("---\nrecipe: a\nextends: b\n...\n")]
    [InlineData("recipe: 'a-1_B'\r\nextends: \"b\"\r\n")]
    [InlineData("recipe: a\nextends: b\nevaluate: { data: x, maxRegression: 0.05 }\n")]
    [InlineData("\uFEFFrecipe: a\nextends: b\n")]
    public void Other_spellings_are_as_good(string text) => Read(text).Diagnostics.ShouldBeEmpty();

    [Theory]
    [InlineData("recipe: balanced", "recpie: balanced", 2, 1, DiagnosticIds.UnknownKey, "did you mean 'recipe'?")]
    [InlineData("recipe: balanced", "", 1, 1, DiagnosticIds.MissingSetting, "no 'recipe'")]
    [InlineData("recipe: balanced", "recipe: my recipe", 2, 9, DiagnosticIds.InvalidValue, "letters, digits")]
    [InlineData("recipe: balanced", "recipe: [a]", 2, 9, DiagnosticIds.BrokenYaml, "'recipe' is a list; write one text")]
    [InlineData("recipe: balanced", "recipe: ../x", 2, 9, DiagnosticIds.InvalidValue, "'../x'")]
    [InlineData("version: 1", "version: 2", 3, 10, DiagnosticIds.InvalidValue, "reads version 1")]
    [InlineData("version: 1", "verison: 1", 3, 1, DiagnosticIds.UnknownKey, "did you mean 'version'?")]
    [InlineData("version: 1", "gate: 5%", 3, 1, DiagnosticIds.UnknownKey, "the recipe has no 'gate'")]
    [InlineData("version: 1", "version: 1\nversion: 1", 4, 1, DiagnosticIds.DuplicateKey, "after line 3")]
    [InlineData("model: Stories.StoryLlama", "modle: Stories.StoryLlama", 4, 1, DiagnosticIds.UnknownKey, "did you mean 'model'?")]
    [InlineData("model: Stories.StoryLlama", "", 2, 9, DiagnosticIds.MissingSetting, "add 'model: <class>'")]
    [InlineData("model: Stories.StoryLlama", "model:", 4, 7, DiagnosticIds.InvalidValue, "'model' is empty")]
    [InlineData("weights: weights/stories.safetensors", "", 2, 9, DiagnosticIds.MissingSetting, "add 'weights: <file>'")]
    [InlineData("weights: weights/stories.safetensors", "weights: ~", 5, 10, DiagnosticIds.InvalidValue, "'weights' is empty")]
    [InlineData("weights: weights/stories.safetensors", "weights: \"\"", 5, 10, DiagnosticIds.InvalidValue, "'weights' is the value ''")]
    [InlineData("weights: weights/stories.safetensors", "weights: { file: a }", 5, 10, DiagnosticIds.BrokenYaml, "'weights' is a mapping")]
    [InlineData("seed: 42", "seed: many", 7, 7, DiagnosticIds.InvalidValue, "'seed' is 'many'; it must be a whole number")]
    [InlineData("seed: 42", "seed: 1.5", 7, 7, DiagnosticIds.InvalidValue, "'seed' is '1.5'")]
    [InlineData("seed: 42", "seed: 99999999999999999999", 7, 7, DiagnosticIds.InvalidValue, "'seed' is")]
    [InlineData("samples: 64", "samples: -1", 8, 51, DiagnosticIds.InvalidValue, "it must be at least 0")]
    [InlineData("samples: 64", "samples: 64.0", 8, 51, DiagnosticIds.InvalidValue, "'samples' is '64.0'")]
    [InlineData("samples: 64", "samples: \"64\"", 8, 51, DiagnosticIds.InvalidValue, "without quotes")]
    [InlineData("samples: 64", "sample: 64", 8, 42, DiagnosticIds.UnknownKey, "did you mean 'samples'?")]
    [InlineData("sequenceLength: 128", "sequenceLength: 1", 8, 71, DiagnosticIds.InvalidValue, "it must be at least 2")]
    [InlineData("sequenceLength: 128", "sequence_length: 128", 8, 55, DiagnosticIds.UnknownKey, "did you mean 'sequenceLength'?")]
    [InlineData("{ data: data/calibration.txt, ", "{ ", 8, 12, DiagnosticIds.MissingSetting, "'calibrate' has no 'data'")]
    [InlineData("{ data: data/calibration.txt, ", "{ dta: data/calibration.txt, ", 8, 14, DiagnosticIds.UnknownKey, "did you mean 'data'?")]
    [InlineData("{ data: data/calibration.txt, samples: 64, sequenceLength: 128 }", "data/calibration.txt", 8, 12, DiagnosticIds.BrokenYaml, "write { data: <file> }")]
    [InlineData("metric: accuracy", "metric: acuracy", 17, 42, DiagnosticIds.InvalidValue, "did you mean 'accuracy'?")]
    [InlineData("metric: accuracy", "metric: Accuracy", 17, 42, DiagnosticIds.InvalidValue, "did you mean 'accuracy'?")]
    [InlineData("maxRegression: 5%", "maxRegression: -5%", 17, 67, DiagnosticIds.InvalidValue, "'maxRegression' is -0.05")]
    [InlineData("maxRegression: 5%", "maxRegression: five", 17, 67, DiagnosticIds.InvalidValue, "'maxRegression' is 'five'")]
    [InlineData("maxRegression: 5%", "maxRegression: NaN", 17, 67, DiagnosticIds.InvalidValue, "'maxRegression' is 'NaN'")]
    [InlineData("steps:", "step:", 9, 1, DiagnosticIds.UnknownKey, "did you mean 'steps'?")]
    [InlineData("match: head", "mtach: head", 15, 5, DiagnosticIds.UnknownKey, "did you mean 'match'?")]
    [InlineData("match: head", "match: \"head..x\"", 15, 12, DiagnosticIds.InvalidValue, "empty segment")]
    [InlineData("match: head", "match: \"{a,b\"", 15, 12, DiagnosticIds.InvalidValue, "does not close")]
    [InlineData("match: head", "match: [a, b]", 15, 12, DiagnosticIds.BrokenYaml, "'match' is a list")]
    [InlineData("- match: head\n    keep:", "- keep:", 15, 5, DiagnosticIds.MissingSetting, "the entry has no 'match'")]
    [InlineData("- match: head\n    keep:", "- match: head", 15, 12, DiagnosticIds.MissingSetting, "nothing is to be done with 'head'")]
    [InlineData("- match: head\n    keep:", "- head", 15, 5, DiagnosticIds.BrokenYaml, "write '- match: <layers>'")]
    [InlineData("corda: {", "coda: {", 11, 5, DiagnosticIds.UnknownMethod, "did you mean 'corda'?")]
    [InlineData("corda: {", "Corda: {", 11, 5, DiagnosticIds.UnknownMethod, "did you mean 'corda'?")]
    [InlineData("corda: {", "magic: {", 11, 5, DiagnosticIds.UnknownMethod, "there is no step 'magic'; there are asvd, ")]
    [InlineData("rank: 24", "rank: 0", 11, 20, DiagnosticIds.InvalidValue, "'rank' is 0; it must be at least 1")]
    [InlineData("rank: 24", "rank: 2147483648", 11, 20, DiagnosticIds.InvalidValue, "'rank' is '2147483648'")]
    [InlineData("rank: 24", "rank: 24, rank: 25", 11, 24, DiagnosticIds.DuplicateKey, "'rank' stands here again")]
    [InlineData("rank: 24", "rnk: 24", 11, 14, DiagnosticIds.UnknownKey, "did you mean 'rank'?")]
    [InlineData("rank: 24", "rank: { value: 24 }", 11, 20, DiagnosticIds.BrokenYaml, "'rank' is a mapping")]
    [InlineData("sampleNormalization: max", "sampleNormalization: mean", 11, 45, DiagnosticIds.InvalidValue, "one of absMax, max, none")]
    [InlineData("symmetric: false", "symmetric: no", 12, 59, DiagnosticIds.InvalidValue, "true or false")]
    [InlineData("bits: 3", "bits: 9", 12, 23, DiagnosticIds.InvalidValue, "from 2 to 8")]
    [InlineData("keep: {}", "keep: 3", 14, 11, DiagnosticIds.BrokenYaml, "write nothing behind it, for it has no settings")]
    [InlineData("keep: {}", "keep: { always: true }", 14, 13, DiagnosticIds.UnknownKey, "'keep' has no 'always'")]
    [InlineData("keep: {}", "keep: {}\n    keep: {}", 15, 5, DiagnosticIds.DuplicateKey, "after line 14")]
    [InlineData("seed: 42", "seed: &s 42", 7, 7, DiagnosticIds.BrokenYaml, "an anchor stands here")]
    [InlineData("seed: 42", "seed: !!int 42", 7, 7, DiagnosticIds.BrokenYaml, "a tag stands here")]
    [InlineData("keep: {}", "keep: {}\n---\nrecipe: other", 15, 1, DiagnosticIds.BrokenYaml, "second document")]
    [InlineData("seed: 42", "seed: 42\n\tx: 1", 8, 1, DiagnosticIds.BrokenYaml, "this is not YAML: a tab indents this line; YAML is indented with spaces")]
    [InlineData("    keep: {}", "  \tkeep: {}", 14, 3, DiagnosticIds.BrokenYaml, "a tab indents this line")]
    [InlineData("sequenceLength: 128 }", "sequenceLength: 128", 8, 69, DiagnosticIds.BrokenYaml, "close every brace, bracket and quote that is open")]
    [InlineData("match: head", "match: *.head", 15, 12, DiagnosticIds.BrokenYaml, "an alias stands here, because '*.head' is not in quotes; write \"*.head\"")]
    [InlineData("seed: 42", "? [a, b]\n: 1", 7, 3, DiagnosticIds.BrokenYaml, "a key is a list")]
    public void A_mistake_is_found_at_its_place(string right, string wrong, int line, int column, string id, string part)
    {
        string text = Valid.ReplaceLineEndings("\n");
        text.ShouldContain(right);
        var problem = Read(text.Replace(right, wrong)).Diagnostics.ShouldHaveSingleItem();
        (problem.Id, problem.Span.Line, problem.Span.Column).ShouldBe((id, line, column), problem.ToString());
        problem.Message.ShouldContain(part);
        problem.Severity.ShouldBe(Severity.Error);
    }

    [Theory]
    [InlineData("", "the recipe is empty")]
    [InlineData("# nothing", "the recipe is empty")]
    [InlineData("- a\n- b", "the recipe is a list")]
    [InlineData("just text", "the recipe is the value 'just text'")]
    [InlineData("recipe: *name", "an alias stands here")]
    [InlineData("recipe: \"unclosed", "this is not YAML")]
    public void A_text_of_the_wrong_shape_is_refused(string text, string part)
    {
        var problem = Read(text).Diagnostics[0];
        problem.Id.ShouldBe(DiagnosticIds.BrokenYaml);
        problem.Message.ShouldContain(part);
    }

    [Fact]
    public void Every_mistake_of_a_file_is_reported_in_order()
    {
        string text = Valid.ReplaceLineEndings("\n").Replace("seed: 42", "sed: 42").Replace("rank: 24", "rank: x").Replace("bits: 3", "bit: 3").Replace("metric: accuracy", "metric: luck");
        Read(text).Diagnostics.Select(problem => (problem.Span.Line, problem.Id)).ShouldBe([
            (7, DiagnosticIds.UnknownKey), (11, DiagnosticIds.InvalidValue), (12, DiagnosticIds.UnknownKey), (17, DiagnosticIds.InvalidValue)]);
    }

    [Fact]
    public void What_stands_before_a_syntax_error_is_still_understood()
    {
        var parsed = Read(Valid.Replace("seed: 42", "seed: [42"));
        parsed.HasErrors.ShouldBeTrue();
        (parsed.Draft.Name, parsed.Draft.Model!.Text).ShouldBe(("balanced", "Stories.StoryLlama"));
    }

    [Fact]
    public void Depth_and_size_are_bounded()
    {
        Read("recipe: " + new string('[', 5000)).Diagnostics.ShouldContain(problem => problem.Message.Contains("nested more than 32 deep"));
        Read("recipe: " + new string('a', 300_000)).Diagnostics.ShouldHaveSingleItem().Message.ShouldContain("at most 262144");
        Read("recipe: a\nextends: b\nseed: " + new string('1', 2000)).Diagnostics[0].Message.ShouldContain("at most 1000");
    }

    [Fact]
    public void No_text_makes_the_parser_throw()
    {
        const string alphabet = " \t\n\r:-{}[],&*!|>'\"%@`#?~.0aé\u2028\0\uD800";
        var random = new Random(20260101);
        for (int round = 0; round < 10_000; round++)
        {
            var text = new System.Text.StringBuilder(Valid);
            for (int edit = random.Next(1, 6); edit > 0; edit--)
            {
                int at = random.Next(text.Length);
                switch (random.Next(3))
                {
                    case 0:
                        text.Insert(at, alphabet[random.Next(alphabet.Length)]);
                        break;
                    case 1:
                        text.Remove(at, Math.Min(random.Next(1, 20), text.Length - at));
                        break;
                    default:
                        text[at] = alphabet[random.Next(alphabet.Length)];
                        break;
                }
            }

            string input = text.ToString();
            Should.NotThrow(() => Read(input), $"round {round}: {input}");
        }
    }

    internal static ParsedRecipe Read(string text) => RecipeParser.Parse(text.ReplaceLineEndings("\n"), "r.yaml");

    [Fact]
    public void After_a_hundred_mistakes_the_reading_ends()
    {
        string text = "recipe: r\nmodel: M\nweights: w\nsteps:\n" + string.Concat(Enumerable.Range(0, 500).Select(i => $"  - match: a{i}\n    quantise: {{ bits: 4 }}\n"));
        var problems = RecipeParser.Parse(text, "r.yaml").Diagnostics;
        problems.Count.ShouldBe(101);
        problems[100].ToString().ShouldBe("r.yaml(206,5,206,13): error PDSL1001: there are more than 100 mistakes; correct those before this line first");
    }

    [Fact]
    public void A_long_text_that_looks_like_an_alias_is_shown_in_part()
    {
        var problem = RecipeParser.Parse("recipe: r\nmodel: M\nweights: w\nsteps:\n  - match: *" + new string('x', 5000) + "\n    keep:\n", "r.yaml").Diagnostics.ShouldHaveSingleItem();
        problem.Message.ShouldStartWith("an alias stands here");
        problem.Message.Length.ShouldBeLessThan(400);
    }
}
