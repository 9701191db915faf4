using Microsoft.CodeAnalysis;

namespace PipelineDsl.Generators.Tests;

/// <summary>Mistakes that people make in recipes and attributes: each is told at compile time, once, at its place, with a code and what to do about it.</summary>
public sealed class SeededMistakesTests
{
    private const string YamlHead = "recipe: r\nmodel: Stories.StoryLlama\nweights: w.safetensors\n";
    private const string Learning = YamlHead + "calibrate: { data: c.txt }\n";
    private const string Steps = "steps:\n  - match: lm_head\n    quantize: { bits: 4 }\n";

    [Theory]
    [InlineData(YamlHead + "steps:\n  - match: \"*.head\"\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData(YamlHead + "steps:\n  - match: quite.another.thing\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData(YamlHead + "steps:\n  - match: model.layers[0].q_proj\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData(YamlHead + "steps:\n  - match: Lm_head\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData(YamlHead + "steps:\n  - match: *.q_proj\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: \"model.{layers\"\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  match: lm_head\n  quantize:\n", "r.recipe.yaml(5,3) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - lm_head: { bits: 4 }\n", "r.recipe.yaml(5,5) PDSL1003|r.recipe.yaml(5,5) PDSL1005")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n  - quantize: { bits: 4 }\n", "r.recipe.yaml(5,12) PDSL1005|r.recipe.yaml(6,5) PDSL1005")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: 4\n", "r.recipe.yaml(6,15) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { bits: 4 }\n    quantize: { bits: 8 }\n", "r.recipe.yaml(7,5) PDSL1006")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { bits: 16 }\n", "r.recipe.yaml(6,23) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { bits: 4bit }\n", "r.recipe.yaml(6,23) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { groupsize: 16 }\n", "r.recipe.yaml(6,17) PDSL1002")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { bits: 4, granularity: chanel }\n", "r.recipe.yaml(6,39) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    svd: { rank: 8 }\n", "r.recipe.yaml(6,5) PDSL1003")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    decompose: { rank: 65 }\n", "r.recipe.yaml(6,24) PDSL1009")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    decompose: { rank: 60 }\n", "r.recipe.yaml(6,24) PDSL1010")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    decompose: { keepRatio: 50 }\n", "r.recipe.yaml(6,29) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    gptq: { bits: 4 }\n", "r.recipe.yaml(6,5) PDSL1005")]
    [InlineData(YamlHead + "steps:\n  - match: model.norm\n    quantize:\n", "r.recipe.yaml(5,12) PDSL0001")]
    [InlineData(YamlHead + "steps:\n  - match: \"**\"\n    quantize:\n  - match: lm_head\n    hqq:\n", "r.recipe.yaml(8,5) PDSL1008")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    keep:\n    quantize:\n", "r.recipe.yaml(7,5) PDSL1008")]
    [InlineData(YamlHead + "steps: []\n", "r.recipe.yaml(4,8) PDSL1005")]
    [InlineData(YamlHead + Steps + "evaluate: { data: t.txt, maxRegression: 5 }\n", "r.recipe.yaml(7,41) PDSL1004")]
    [InlineData(YamlHead + Steps + "evaluate: { data: t.txt, maxRegresion: 5% }\n", "r.recipe.yaml(7,26) PDSL1002")]
    [InlineData(YamlHead + Steps + "evaluate: t.txt\n", "r.recipe.yaml(7,11) PDSL1001")]
    [InlineData(YamlHead + Steps + "budget: 600\n", "r.recipe.yaml(7,9) PDSL1004")]
    [InlineData(YamlHead + Steps + "budget: 60%\n", "r.recipe.yaml(7,9) PDSL1007")]
    [InlineData(YamlHead + Steps + "allocate: uniform\n", "r.recipe.yaml(7,11) PDSL1005")]
    [InlineData(YamlHead + Steps + "export: gptqv2\n", "r.recipe.yaml(7,9) PDSL1004")]
    [InlineData(YamlHead + Steps + "train: { data: t.txt }\n", "r.recipe.yaml(7,1) PDSL1005")]
    [InlineData("recipe: r\nmodel: StoryLlama\nweights: w\n" + Steps, "r.recipe.yaml(2,8) PDSL1013")]
    [InlineData("recipe: r\nmodel: Stories.Llama3\nweights: w\n" + Steps, "r.recipe.yaml(2,8) PDSL1013")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama\nweight: w\n" + Steps, "r.recipe.yaml(3,1) PDSL1002")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama\nweights: /data/w.safetensors\n" + Steps, "r.recipe.yaml(3,10) PDSL1018")]
    [InlineData("recipe: my recipe\nmodel: Stories.StoryLlama\nweights: w\n" + Steps, "r.recipe.yaml(1,9) PDSL1004")]
    [InlineData("recipe: r\nextends: bse\n" + Steps, "r.recipe.yaml(2,10) PDSL1016")]
    [InlineData(YamlHead + "steps:\n\t- match: lm_head\n", "r.recipe.yaml(5,1) PDSL1001")]
    [InlineData(YamlHead + Steps + "---\n" + YamlHead, "r.recipe.yaml(7,1) PDSL1001")]
    [InlineData(Learning + "steps:\n  - match: lm_head\n    awq: { bits: 4, groupSize: 100 }\n", "r.recipe.yaml(7,32) PDSL1011")]
    [InlineData(YamlHead + "steps:\n  - match: \"**.q_proj\"\n    decompose: { rank: 8, keepRatio: 50% }\n", "r.recipe.yaml(6,38) PDSL1007")]
    [InlineData(Learning + "steps:\n  - match: lm_head\n    quantise: { bits: 4 }\n    corda: { rank: 8 }\n", "r.recipe.yaml(7,5) PDSL1003")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    decompose: { rank: 1e3 }\n", "r.recipe.yaml(6,24) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    decompose: { rank: -1 }\n", "r.recipe.yaml(6,24) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    decompose: { rank: 99999999999999999999999 }\n", "r.recipe.yaml(6,24) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    decompose: { rank: 50% }\n", "r.recipe.yaml(6,24) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    decompose: { ratio: 0.5 }\n", "r.recipe.yaml(6,18) PDSL1002")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    decompose: { keepRatio: 0,5 }\n", "r.recipe.yaml(6,29) PDSL1004|r.recipe.yaml(6,31) PDSL1002")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: !q4 { bits: 4 }\n", "r.recipe.yaml(6,15) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize:\n      <<: { bits: 4 }\n", "r.recipe.yaml(7,7) PDSL1002")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    keep: true\n", "r.recipe.yaml(6,11) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: none\n", "r.recipe.yaml(6,15) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { bits: [4, 8] }\n", "r.recipe.yaml(6,23) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize:\n    bits: 4\n", "r.recipe.yaml(7,5) PDSL1003")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    - quantize: { bits: 4 }\n", "r.recipe.yaml(6,5) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { bits = 4 }\n", "r.recipe.yaml(6,17) PDSL1002")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { bits:4 }\n", "r.recipe.yaml(6,17) PDSL1002")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize:{ bits: 4 }\n", "r.recipe.yaml(6,5) PDSL1003")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { bits: 4, granularity: per-channel }\n", "r.recipe.yaml(6,39) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { symmetric: \"true\" }\n", "r.recipe.yaml(6,28) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    prune: { sparsity: 50% }\n", "r.recipe.yaml(6,5) PDSL1003")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    steps:\n      - quantize:\n", "r.recipe.yaml(6,5) PDSL1003")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    match: model.norm\n    quantize:\n", "r.recipe.yaml(6,5) PDSL1006")]
    [InlineData(YamlHead + "steps:\n  - match: \n    quantize:\n", "r.recipe.yaml(5,11) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: model.layers\n    quantize:\n", "r.recipe.yaml(5,12) PDSL0001")]
    [InlineData(YamlHead + "steps:\n  - match: StoryLlama.lm_head\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData(YamlHead + "steps:\n  - match: model.layers.0.q_proj.weight\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head, model.embed_tokens\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData(YamlHead + "steps:\n  - match: [ lm_head, model.embed_tokens ]\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: { q, k }_proj\n    quantize:\n", "r.recipe.yaml(5,20) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  lm_head:\n    quantize: { bits: 4 }\n", "r.recipe.yaml(5,3) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  -\n", "r.recipe.yaml(5,4) PDSL1001")]
    [InlineData(Learning + "steps:\n  - match: lm_head\n    gptq: { bits: 4, groupSize: -1 }\n", "r.recipe.yaml(7,33) PDSL1004")]
    [InlineData(Learning + "steps:\n  - match: model.embed_tokens\n    corda: { rank: 8 }\n", "r.recipe.yaml(6,12) PDSL0001")]
    [InlineData(Learning + Steps, "r.recipe.yaml(4,1) PDSL1020")]
    [InlineData(YamlHead + "calibrate:\n  data: c.txt\n" + Steps, "r.recipe.yaml(4,1) PDSL1020")]
    [InlineData(Learning + "budget: 60%\nallocate: uniform\nsteps:\n  - match: lm_head\n    quantize:\n", "r.recipe.yaml(4,1) PDSL1020")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    bitStack: { scaleWeight: false }\n", "r.recipe.yaml(6,5) PDSL1005")]
    [InlineData(YamlHead + "calibrate: { data: c.txt, seqLength: 64 }\n" + Steps, "r.recipe.yaml(4,27) PDSL1002")]
    [InlineData(YamlHead + "calibrate:\ndata: c.txt\n" + Steps, "r.recipe.yaml(4,11) PDSL1001|r.recipe.yaml(5,1) PDSL1002")]
    [InlineData(YamlHead + "train: { data: t.txt, lr: 1e-3 }\nsteps:\n  - match: lm_head\n    lora: { r: 8 }\n", "r.recipe.yaml(4,23) PDSL1002|r.recipe.yaml(7,13) PDSL1002")]
    [InlineData(YamlHead + "train: { data: t.txt }\nsteps:\n  - match: lm_head\n    lora: { rank: 8, dropout: 50 }\n", "r.recipe.yaml(7,31) PDSL1004")]
    [InlineData(YamlHead + Steps + "evaluate: { data: t.txt, metric: ppl }\n", "r.recipe.yaml(7,34) PDSL1004")]
    [InlineData(YamlHead + Steps + "evaluate: { data: t.txt, maxRegression: 5 percent }\n", "r.recipe.yaml(7,41) PDSL1004")]
    [InlineData(YamlHead + Steps + "export: []\n", "r.recipe.yaml(7,9) PDSL1004")]
    [InlineData(YamlHead + Steps + "export: { gguf: true }\n", "r.recipe.yaml(7,9) PDSL1001")]
    [InlineData(YamlHead + "budget: 0.6 GiB\n" + Steps, "r.recipe.yaml(4,9) PDSL1004")]
    [InlineData(YamlHead + "seed: random\n" + Steps, "r.recipe.yaml(4,7) PDSL1004")]
    [InlineData("version: v1\n" + YamlHead + Steps, "r.recipe.yaml(1,10) PDSL1004")]
    [InlineData("%YAML 3.0\n---\n" + YamlHead + Steps, "r.recipe.yaml(1,1) PDSL1001")]
    [InlineData("// balanced\n" + YamlHead + Steps, "r.recipe.yaml(2,7) PDSL1001")]
    [InlineData("recipe = \"r\"\nmodel = \"Stories.StoryLlama\"\n", "r.recipe.yaml(1,1) PDSL1001")]
    [InlineData("recipe: r\n  small\nmodel: Stories.StoryLlama\nweights: w.safetensors\n" + Steps, "r.recipe.yaml(1,9) PDSL1004")]
    [InlineData("recipe: r\nmodel:Stories.StoryLlama\nweights: w.safetensors\n" + Steps, "r.recipe.yaml(2,1) PDSL1001")]
    [InlineData("recipe: r\nmodel: StoryLlama.cs\nweights: w.safetensors\n" + Steps, "r.recipe.yaml(2,8) PDSL1013")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama\nweights: C:\\models\\w.safetensors\n" + Steps, "r.recipe.yaml(3,10) PDSL1018")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama\nweights: ~/w.safetensors\n" + Steps, "r.recipe.yaml(3,10) PDSL1018")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama\nweights: https://models.example/w.safetensors\n" + Steps, "r.recipe.yaml(3,10) PDSL1004")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama\nweights: [ a.safetensors, b.safetensors ]\n" + Steps, "r.recipe.yaml(3,10) PDSL1001")]
    [InlineData("recipe: r\nextends: base.recipe.yaml\n" + Steps, "r.recipe.yaml(2,10) PDSL1016")]
    [InlineData(YamlHead + "steps:\n\u00A0\u00A0- match: lm_head\n    quantize:\n", "r.recipe.yaml(5,1) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { bits:\u00A04 }\n", "r.recipe.yaml(6,17) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quan\u200Btize:\n", "r.recipe.yaml(6,5) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: lm_head\n    quantize: { b\u0456ts: 4 }\n", "r.recipe.yaml(6,17) PDSL1002")]
    [InlineData(YamlHead + "\uFEFF" + Steps, "r.recipe.yaml(4,1) PDSL1001")]
    [InlineData(YamlHead + "steps:\0\n", "r.recipe.yaml(4,7) PDSL1001")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama\nweights: Gew\uFFFDchte.safetensors\n" + Steps, "r.recipe.yaml(3,13) PDSL1001")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama\nweights: weights/model.bin\n" + Steps, "r.recipe.yaml(3,10) PDSL1004")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama\nweights: weights/model.GGUF\n" + Steps, "r.recipe.yaml(3,10) PDSL1004")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama\nweights: https://models.example/w?download=true\n" + Steps, "r.recipe.yaml(3,10) PDSL1004")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama\nweights: w*.safetensors\n" + Steps, "r.recipe.yaml(3,10) PDSL1004")]
    [InlineData(YamlHead + "tokenizer: weights/tokenizer.model\n" + Steps, "r.recipe.yaml(4,12) PDSL1004")]
    [InlineData(YamlHead + Steps + "evaluate: { data: data/test.parquet }\n", "r.recipe.yaml(7,19) PDSL1004")]
    [InlineData(YamlHead + "train: { data: t.npz }\nsteps:\n  - match: \"lm_head\"\n    lora:\n", "r.recipe.yaml(4,16) PDSL1004")]
    [InlineData(YamlHead + "calibrate: { data: c.safetensors, sequenceLength: 64 }\nsteps:\n  - match: \"lm_head\"\n    gptq:\n", "r.recipe.yaml(4,51) PDSL1020")]
    [InlineData(YamlHead + Steps + "evaluate: { data: t.safetensors, sequenceLength: 64 }\n", "r.recipe.yaml(7,50) PDSL1020")]
    [InlineData(YamlHead + "train: { data: t.safetensors, packing: false }\nsteps:\n  - match: \"lm_head\"\n    lora:\n", "r.recipe.yaml(4,40) PDSL1020")]
    [InlineData(YamlHead + "train: { data: t.safetensors, format: chat }\nsteps:\n  - match: \"lm_head\"\n    lora:\n", "r.recipe.yaml(4,39) PDSL1007")]
    [InlineData(YamlHead + "train: { data: t.txt, validation: t.txt }\nsteps:\n  - match: \"lm_head\"\n    lora:\n", "r.recipe.yaml(4,35) PDSL1004")]
    [InlineData(YamlHead + "train: { data: t.txt, warmUp: 100, steps: 50 }\nsteps:\n  - match: \"lm_head\"\n    lora:\n", "r.recipe.yaml(4,31) PDSL1007")]
    [InlineData(YamlHead + "train: { data: t.txt, schedule: wsd, decay: 60, steps: 50 }\nsteps:\n  - match: \"lm_head\"\n    lora:\n", "r.recipe.yaml(4,45) PDSL1007")]
    [InlineData("recipe: con\nmodel: Stories.StoryLlama\nweights: w.safetensors\n" + Steps, "r.recipe.yaml(1,9) PDSL1004")]
    [InlineData("recipe: LPT1\nmodel: Stories.StoryLlama\nweights: w.safetensors\n" + Steps, "r.recipe.yaml(1,9) PDSL1004")]
    [InlineData(YamlHead + "seed: ~\n" + Steps, "r.recipe.yaml(4,7) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: \"lm_head\"\n    quantize: { symmetric: null }\n", "r.recipe.yaml(6,28) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: \"***\"\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: \"**_proj\"\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1004")]
    [InlineData(YamlHead + "steps:\n  - match: \"lm_head|model.embed_tokens\"\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData(YamlHead + "steps:\n  - match: \"re:.*_proj$\"\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData(YamlHead + "steps:\n  - match: \"model.layers.[01].q_proj\"\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData(YamlHead + "steps:\n  - match: \"**.q_proj\"\n    keep:\n  - match: lm_head\n    quantize:\n  - match: \"**.q_proj\"\n    keep:\n", "r.recipe.yaml(10,5) PDSL1020")]
    [InlineData(YamlHead + "steps:\n  - match: \"**\"\n    keep:\n", "r.recipe.yaml(5,12) PDSL1020")]
    [InlineData(Learning + "steps:\n  - match: lm_head\n    bitStack: { order: official }\n  - match: \"**.q_proj\"\n    bitStack: { rank: 8, order: gainPerByte }\n", "r.recipe.yaml(9,33) PDSL1007")]
    [InlineData(Learning + "steps:\n  - match: lm_head\n    bitStack:\n  - match: \"**.q_proj\"\n    bitStack: { rank: 8, scoringSamples: 8 }\n", "r.recipe.yaml(9,42) PDSL1007")]
    [InlineData(YamlHead + Steps + "analyze: { intruderDimensions: { layers: model.norm } }\n", "r.recipe.yaml(7,42) PDSL0001")]
    [InlineData(YamlHead + Steps + "analyze: { intruderDimensions: { base: before.pt } }\n", "r.recipe.yaml(7,40) PDSL1004")]
    [InlineData(YamlHead + Steps + "analyze: {}\n", "r.recipe.yaml(7,10) PDSL1005")]
    [InlineData(YamlHead + "<<<<<<< HEAD\nseed: 4\n=======\nseed: 5\n>>>>>>> other\n" + Steps, "r.recipe.yaml(4,1) PDSL1001")]
    [InlineData("<<<<<<< HEAD\nrecipe: r\nmodel: Stories.StoryLlama\nweights: w.safetensors\n" + Steps, "r.recipe.yaml(1,1) PDSL1001")]
    [InlineData(YamlHead + "steps: |\n  - match: lm_head\n", "r.recipe.yaml(4,8) PDSL1001")]
    [InlineData(YamlHead + "steps:\n  - match: >\n      lm_haed\n    quantize:\n", "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData(YamlHead + "seed: ${SEED}\n" + Steps, "r.recipe.yaml(4,7) PDSL1004")]
    [InlineData(YamlHead + "seed: {{ SEED }}\n" + Steps, "r.recipe.yaml(4,8) PDSL1001")]
    [InlineData(YamlHead + "? [ a ]\n: 4\n" + Steps, "r.recipe.yaml(4,3) PDSL1001")]
    [InlineData(YamlHead + "null: 3\n" + Steps, "r.recipe.yaml(4,1) PDSL1002")]
    [InlineData(YamlHead + "version: 1.0\n" + Steps, "r.recipe.yaml(4,10) PDSL1004")]
    [InlineData(YamlHead + Steps + "evaluate: { data: t.txt, maxRegression: 1e400 }\n", "r.recipe.yaml(7,41) PDSL1004")]
    [InlineData(YamlHead + Steps + "evaluate: { data: t.txt, maxRegression: 5%% }\n", "r.recipe.yaml(7,41) PDSL1004")]
    [InlineData(YamlHead + "calibrate: { data: c.txt, samples: 0x80 }\nsteps:\n  - match: \"lm_head\"\n    gptq:\n", "r.recipe.yaml(4,36) PDSL1004")]
    [InlineData("recipe: r\nmodel: Stories.StoryLlama.Body\nweights: w.safetensors\n" + Steps, "r.recipe.yaml(5,12) PDSL1012")]
    [InlineData("recipe: r\nmodel: global::Stories.StoryLlama\nweights: w.safetensors\n" + Steps, "r.recipe.yaml(2,8) PDSL1013")]
    [InlineData(YamlHead + Steps + "export: [ [ gptq ] ]\n", "r.recipe.yaml(7,11) PDSL1001")]
    [InlineData(Learning + "steps:\n  - match: \"lm_head\"\n    decompose: { rank: 8 }\n    bitStack:\n", "r.recipe.yaml(8,5) PDSL1008")]
    public void In_yaml(string recipe, string places) => Check(new GeneratorRun().Source("StoryLlama.cs", Models.Llama).Recipe("r.recipe.yaml", recipe).Run(), places);

    /// <summary>Places are those of the file as it is, whatever wrote it.</summary>
    [Theory]
    [InlineData("", "", "r.recipe.yaml(1,1) PDSL1001")]
    [InlineData("bits", "bist", "r.recipe.yaml(6,17) PDSL1002")]
    [InlineData("recipe:", "name:", "r.recipe.yaml(1,1) PDSL1002|r.recipe.yaml(1,1) PDSL1005")]
    public void In_yaml_of_any_editor(string right, string wrong, string places)
    {
        string recipe = right.Length == 0 ? "" : (YamlHead + Steps).Replace(right, wrong);
        foreach (string written in new[] { recipe, "\uFEFF" + recipe, recipe.Replace("\n", "\r\n"), recipe.Replace("\n", "\r"), "\uFEFF" + recipe.Replace("\n", "\r\n") })
        {
            Check(new GeneratorRun().Source("StoryLlama.cs", Models.Llama).RawRecipe("r.recipe.yaml", written).Run(), places);
        }
    }

    [Theory]
    [InlineData("recipe: r", "model: Stories.StoryLlama\nweights: w\n" + Steps, "r2.recipe.yaml(1,9) PDSL1014")]
    [InlineData("recipe: R", "model: Stories.StoryLlama\nweights: w\n" + Steps, "r2.recipe.yaml(1,9) PDSL1014")]
    [InlineData("recipe: s", "extends: R\n", "r2.recipe.yaml(2,10) PDSL1016")]
    [InlineData("recipe: s", "extends: ./r\n", "r2.recipe.yaml(2,10) PDSL1016")]
    [InlineData("recipe: s", "extends: [ r ]\n", "r2.recipe.yaml(2,10) PDSL1001")]
    public void In_a_second_recipe(string name, string rest, string places) =>
        Check(new GeneratorRun().Source("StoryLlama.cs", Models.Llama).Recipe("r.recipe.yaml", YamlHead + Steps).Recipe("r2.recipe.yaml", name + "\n" + rest).Run(), places);

    /// <summary>A value too long to be meant is one mistake, wherever it stands.</summary>
    [Theory]
    [InlineData("weights: w.safetensors", "weights: LONG", "(3,10)")]
    [InlineData("recipe: r", "recipe: LONG", "(1,9)")]
    [InlineData("lm_head", "LONG", "(5,12)")]
    [InlineData("bits: 4", "bits: LONG", "(6,23)")]
    [InlineData("bits: 4", "LONG: 4", "(6,17)")]
    [InlineData("quantize:", "LONG:", "(6,5)")]
    [InlineData("weights: w", "LONG: w", "(3,1)")]
    public void A_text_without_end_is_one_mistake(string right, string wrong, string place) =>
        Check(new GeneratorRun().Source("StoryLlama.cs", Models.Llama).Recipe("r.recipe.yaml", (YamlHead + Steps).Replace(right, wrong.Replace("LONG", new string('x', 1001)))).Run(), $"r.recipe.yaml{place} PDSL1001");

    [Theory]
    [InlineData("[Decompose(Rank = 16, Orientation = Orientation.Whitened)]\n    [Quantize(Bits = 8)]", "", "")]
    [InlineData("[Decompose(Rank = 16, Orientation = Orientation.Whitened)]", "[Decompose(Rank = 16)]", "Mlp.cs(10,2) PDSL1020")]
    [InlineData("Bits = 8", "Bits = 1", "Mlp.cs(15,22) PDSL1004")]
    [InlineData("Bits = 8", "Bits = 8, GroupSize = 4096", "Mlp.cs(15,37) PDSL1011")]
    [InlineData("Rank = 16", "Rank = 65", "Mlp.cs(14,23) PDSL1009")]
    [InlineData("Rank = 16, ", "", "Mlp.cs(14,6) PDSL1005")]
    [InlineData("Orientation.Whitened", "(Orientation)17", "Mlp.cs(14,41) PDSL1004")]
    [InlineData("[Quantize(Bits = 8)]", "[Quantize(Bits = 8), Quantize(Bits = 4)]", "Mlp.cs(15,26) PDSL1008")]
    [InlineData("[Quantize(Bits = 8)]", "[Keep, Quantize(Bits = 8)]", "Mlp.cs(14,6) PDSL1008")]
    [InlineData("MaxRegression = 0.01", "MaxRegression = 1.5", "Mlp.cs(11,78) PDSL1004")]
    [InlineData("MaxRegression = 0.01", "MaxRegression = double.NaN", "Mlp.cs(11,78) PDSL1004")]
    [InlineData("data/test.safetensors", "../test.safetensors", "Mlp.cs(11,11) PDSL1018")]
    [InlineData("data/digits.safetensors", "", "Mlp.cs(10,12) PDSL1004")]
    [InlineData("\"data/digits.safetensors\"", "null!", "Mlp.cs(10,12) PDSL1004")]
    [InlineData("\"data/test.safetensors\"", "null!", "Mlp.cs(11,11) PDSL1004")]
    [InlineData("\"small-mlp\"", "null!", "Mlp.cs(9,9) PDSL1004")]
    [InlineData("Weights = \"weights/mlp.safetensors\"", "Weights = null!", "Mlp.cs(9,32) PDSL1005")]
    [InlineData("Seed = 7", "Seed = 7, Budget = \"lots\"", "Mlp.cs(9,78) PDSL1004")]
    [InlineData("[Recipe(\"small-mlp\", Weights = \"weights/mlp.safetensors\", Seed = 7)]", "", "Mlp.cs(10,2) PDSL0003|Mlp.cs(11,2) PDSL0003|Mlp.cs(14,6) PDSL0003")]
    [InlineData("public class Mlp : Module<Tensor, Tensor>", "public class Mlp", "Mlp.cs(9,9) PDSL0002")]
    [InlineData("public Mlp()", "[Quantize] private static readonly Linear shared = Linear(3, 3); public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Quantize] public Linear First => fc1; public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Quantize] private readonly Tensor table = zeros(3); public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Quantize] private readonly Linear[] layers = []; public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Quantize] private readonly Dropout drop = Dropout(); public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "public class Loose { [Quantize] public Linear? Layer; } public Mlp()", "Mlp.cs(19,27) PDSL0001")]
    [InlineData("public Mlp()", "public sealed class Odd : Step { public override Stage Stage => Stage.Quantize; public override System.Collections.Generic.IReadOnlyList<MatrixCost> Predict(LayerShape layer, System.Collections.Generic.IReadOnlyList<MatrixCost> factors) => factors; } [Odd] private readonly Linear odd = Linear(3, 3); public Mlp()", "*PDSL1003")]
    [InlineData("public class Mlp", "public class Mlp<T>", "Mlp.cs(12,14) PDSL0002")]
    [InlineData("public class Mlp", "[Train(\"data/train.safetensors\")]\npublic class Mlp", "Mlp.cs(12,2) PDSL1005")]
    [InlineData("Bits = 8", "Bits = -4", "Mlp.cs(15,22) PDSL1004")]
    [InlineData("Bits = 8", "Bits = 4 + 5", "Mlp.cs(15,22) PDSL1004")]
    [InlineData("Rank = 16", "Rank = 0", "Mlp.cs(14,23) PDSL1004")]
    [InlineData("Rank = 16", "Rank = int.MaxValue", "Mlp.cs(14,23) PDSL1009")]
    [InlineData("Rank = 16", "KeepRatio = double.NaN", "Mlp.cs(14,28) PDSL1004")]
    [InlineData("GroupSize = 16", "GroupSize = 0", "Mlp.cs(17,37) PDSL1004")]
    [InlineData("GroupSize = 16", "GroupSize = 16, Granularity = (Granularity)99", "Mlp.cs(17,55) PDSL1004")]
    [InlineData("GroupSize = 16", "GroupSize = 16, Granularity = Granularity.Channel", "Mlp.cs(17,37) PDSL1007")]
    [InlineData("Metric = Metric.Accuracy", "Metric = (Metric)12", "Mlp.cs(11,45) PDSL1004")]
    [InlineData("MaxRegression = 0.01", "MaxRegression = -0.1", "Mlp.cs(11,78) PDSL1004")]
    [InlineData("Seed = 7", "Seed = 7, Export = (ExportFormats)64", "Mlp.cs(9,78) PDSL1004")]
    [InlineData("Seed = 7", "Seed = 7, Allocate = AllocationMethod.Farms", "Mlp.cs(9,80) PDSL1005")]
    [InlineData("Seed = 7", "Seed = 7, Tokenizer = \"/t.json\"", "Mlp.cs(9,81) PDSL1018")]
    [InlineData("Seed = 7", "Seed = 7, Tokenizer = \" \"", "Mlp.cs(9,81) PDSL1004")]
    [InlineData("weights/mlp.safetensors", "https://models.example/w.safetensors", "Mlp.cs(9,32) PDSL1004")]
    [InlineData("weights/mlp.safetensors", "   ", "Mlp.cs(9,32) PDSL1004")]
    [InlineData("data/digits.safetensors", " ", "Mlp.cs(10,12) PDSL1004")]
    [InlineData("small-mlp", "", "Mlp.cs(9,9) PDSL1004")]
    [InlineData("[Quantize(Bits = 8)]", "[Gptq(Bits = 4), Awq(Bits = 4)]", "Mlp.cs(15,22) PDSL1008")]
    [InlineData("[Quantize(Bits = 8)]", "[Lora(Rank = 4)]", "Mlp.cs(15,6) PDSL1005")]
    [InlineData("[Recipe(\"small-mlp\"", "[IntruderDimensions(Threshold = 3)]\n[Recipe(\"small-mlp\"", "Mlp.cs(9,33) PDSL1004")]
    [InlineData("[Recipe(\"small-mlp\"", "[Train(\"t.txt\", Steps = 3, Epochs = 2)]\n[Recipe(\"small-mlp\"", "Mlp.cs(9,37) PDSL1007")]
    [InlineData("public class Mlp", "public abstract class Mlp", "Mlp.cs(12,23) PDSL0002")]
    [InlineData("public Mlp()", "[Quantize] private readonly LayerNorm norm = LayerNorm(4); public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Quantize] private readonly int width = 4; public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Quantize] private readonly Parameter scale = new(zeros(3)); public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Corda(Rank = 4)] private readonly Embedding table = Embedding(10, 20); public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Decompose(Rank = 2, Orientation = Orientation.Context)] private readonly Embedding table = Embedding(10, 20); public Mlp()", "Mlp.cs(19,40) PDSL1007")]
    [InlineData("public Mlp()", "[Decompose(Rank = 400)] private readonly Conv2d conv = Conv2d(3, 8, 3); public Mlp()", "Mlp.cs(19,23) PDSL1009")]
    [InlineData("[Quantize(Bits = 4, GroupSize = 16)]", "[Keep, Keep]", "Mlp.cs(17,12) PDSL1020")]
    [InlineData("weights/mlp.safetensors", "weights/mlp.bin", "Mlp.cs(9,32) PDSL1004")]
    [InlineData("Seed = 7", "Seed = 7, Tokenizer = \"weights/tokenizer.model\"", "Mlp.cs(9,81) PDSL1004")]
    [InlineData("Samples = 32", "SequenceLength = 64", "Mlp.cs(10,56) PDSL1020")]
    [InlineData("MaxRegression = 0.01", "SequenceLength = 64", "Mlp.cs(11,79) PDSL1020")]
    [InlineData("data/test.safetensors", "data/test.parquet", "Mlp.cs(11,11) PDSL1004")]
    [InlineData("data/digits.safetensors", "data/*.safetensors", "Mlp.cs(10,12) PDSL1004")]
    [InlineData("small-mlp", "nul", "Mlp.cs(9,9) PDSL1004")]
    [InlineData("[Calibrate(", "[IntruderDimensions(Base = \"before.ckpt\")]\n[Calibrate(", "Mlp.cs(10,28) PDSL1004")]
    [InlineData("[Evaluate(\"data/test.safetensors\", Metric = Metric.Accuracy, MaxRegression = 0.01)]", "[Train(\"t.safetensors\", Format = TrainingFormat.Chat)]", "Mlp.cs(11,34) PDSL1007")]
    [InlineData("namespace Digits;", "namespace Digits; [Calibrate(\"x\")] public record Empty;", "Mlp.cs(7,20) PDSL0003")]
    [InlineData("namespace Digits;", "namespace Digits; public record Free([property: Quantize] Linear Layer);", "Mlp.cs(7,49) PDSL0001")]
    [InlineData("namespace Digits;", "namespace Digits; public record Free([field: Quantize] Linear Layer);", "Mlp.cs(7,46) PDSL0001")]
    [InlineData("namespace Digits;", "namespace Digits; public struct Free { [Quantize] public Linear Layer; }", "Mlp.cs(7,41) PDSL0001")]
    [InlineData("public Mlp()", "[BitStack(Order = StackOrder.GainPerByte)] private readonly Linear a = Linear(64, 64); [BitStack] private readonly Linear b = Linear(64, 64); public Mlp()", "Mlp.cs(19,93) PDSL1007")]
    [InlineData("public Mlp()", "[Quantize] private readonly System.Collections.Generic.List<Linear> list = []; public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Quantize] private readonly object any = new(); public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Quantize] private const int Width = 4; public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Quantize] private readonly Conv1d conv = Conv1d(3, 8, 3); public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp()", "[Quantize] private readonly Sequential layers = Sequential((\"a\", Linear(3, 3))); public Mlp()", "Mlp.cs(19,6) PDSL0001")]
    [InlineData("public Mlp() : base(\"Mlp\")", "protected Mlp() : base(\"Mlp\")", "Mlp.cs(12,14) PDSL0002")]
    [InlineData("public Mlp() : base(\"Mlp\")", "public required int Width { get; set; }\n    public Mlp() : base(\"Mlp\")", "Mlp.cs(12,14) PDSL0002")]
    [InlineData("public class Mlp", "file class Mlp", "Mlp.cs(12,12) PDSL0002")]
    [InlineData("Bits = 8", "Bits = 8, Granularity = (Granularity)(-1)", "Mlp.cs(15,39) PDSL1004")]
    [InlineData("MaxRegression = 0.01", "MaxRegression = double.PositiveInfinity", "Mlp.cs(11,78) PDSL1004")]
    public void In_attributes(string right, string wrong, string places)
    {
        string model = Models.Mlp.ReplaceLineEndings("\n");
        model.ShouldContain(right);
        model = model.Replace(right, wrong);
        Check(new GeneratorRun().Source("Mlp.cs", places.Length == 0 ? model.Replace("[Quantize(Bits = 4, GroupSize = 16)]", "") : model).Run(), places.Length == 0 ? "Mlp.cs(9,9) PDSL1005" : places);
    }

    /// <summary>What the compiler refuses itself brings neither the generator down nor errors of its own with it.</summary>
    [Theory]
    [InlineData("public Mlp()", "[Recipe(\"x\", Weights = \"w\")] public int Width; public Mlp()", "Mlp.cs(19,6) CS0592")]
    [InlineData("public Mlp()", "[Recipe(\"x\", Weights = \"w\")] public void Widen() { } public Mlp()", "Mlp.cs(19,6) CS0592")]
    [InlineData("namespace Digits;", "namespace Digits; [Recipe(\"x\", Weights = \"w\")] public enum Kinds { None }", "Mlp.cs(7,20) CS0592")]
    [InlineData("Bits = 8", "Bits = 8, Bits = 4", "Mlp.cs(15,25) CS0643")]
    [InlineData("Samples = 32", "Samples = 32, Samples = 4", "Mlp.cs(10,53) CS0643")]
    [InlineData("[Calibrate(", "[Calibrate(\"b.safetensors\"), Calibrate(", "Mlp.cs(10,30) CS0579")]
    [InlineData("GroupSize = 16", "GroupSize = \"16\"", "Mlp.cs(17,37) CS0029")]
    public void That_the_compiler_refuses_itself(string right, string wrong, string place)
    {
        string model = Models.Mlp.ReplaceLineEndings("\n");
        model.ShouldContain(right);
        var result = new GeneratorRun().Source("Mlp.cs", model.Replace(right, wrong)).Run();
        result.Diagnostics.ShouldBeEmpty();
        result.Raw.Exception.ShouldBeNull();
        result.CompilerProblems.ShouldHaveSingleItem().ShouldStartWith(place);
        result.Files.Keys.ShouldContain("Digits.SmallMlpPipeline.g.cs");
    }

    [Fact]
    public void On_a_step_that_a_file_calls_otherwise()
    {
        string model = "using Q = PipelineDsl.Quantize;\n" + Models.Mlp.ReplaceLineEndings("\n").Replace("public Mlp()", "[Q(Bits = 4)] private static readonly Linear shared = Linear(3, 3); public Mlp()");
        Check(new GeneratorRun().Source("Mlp.cs", model).Run(), "Mlp.cs(20,6) PDSL0001");
    }

    /// <summary>A value with line ends in it is shown in one line.</summary>
    [Fact]
    public void Each_is_told_in_one_line()
    {
        var result = new GeneratorRun().Source("StoryLlama.cs", Models.Llama).Recipe("r.recipe.yaml", YamlHead + "steps: |\n  - match: lm_head\n").Run();
        result.Diagnostics.ShouldHaveSingleItem().ShouldEndWith("'steps' is the value '- match: lm_head '; write a list whose entries start with '- match:'");
    }

    /// <summary>Steps on members that a module gets from its base are read with it.</summary>
    [Theory]
    [InlineData("protected", "")]
    [InlineData("private", "Base.cs(7,4) PDSL0003")]
    public void On_members_of_a_base(string access, string places)
    {
        string parent = "using PipelineDsl;\nusing TorchSharp.Modules;\nusing static TorchSharp.torch;\nusing static TorchSharp.torch.nn;\nnamespace Digits;\npublic abstract class Parent(string name) : Module<Tensor, Tensor>(name)\n{ [Quantize(Bits = 4)] " + access + " readonly Linear low = Linear(64, 64); public Tensor Low(Tensor x) => low.call(x); }\n";
        var result = new GeneratorRun().Source("Base.cs", parent).Source("Mlp.cs", Models.Mlp.Replace("Mlp : Module<Tensor, Tensor>", "Mlp : Parent")).Run();
        if (places.Length == 0)
        {
            result.Diagnostics.ShouldBeEmpty();
            string.Concat(result.Files.Values).ShouldContain("Written.Rule(\"low\"");
        }
        else
        {
            Check(result, places);
        }
    }

    private static void Check(GeneratorResult result, string places)
    {
        if (places.StartsWith('*'))
        {
            result.Diagnostics.ShouldHaveSingleItem().ShouldContain(places[1..]);
        }
        else
        {
            string told = string.Join("\n", result.Diagnostics);
            result.Diagnostics.Select(problem => problem[..(problem.IndexOf("PDSL", StringComparison.Ordinal) + "PDSL0000".Length)]).Order(StringComparer.Ordinal).ToArray().ShouldBe(places.Split('|'), told);
        }

        foreach (string problem in result.Diagnostics)
        {
            problem.ShouldContain(";");
        }

        result.Raw.Diagnostics.ShouldAllBe(problem => problem.Severity >= DiagnosticSeverity.Warning);
    }
}
