using System.Text.Json.Nodes;

// Placeholder: makes one fake artifact for each recipe and honours every list of the contract.
JsonNode request = JsonNode.Parse(File.ReadAllText(args[0]))!;
string Text(string name) => (string)request[name]!;
string folder = Path.GetDirectoryName(Text("artifactsList"))!;
File.AppendAllText(Text("journal"), $"run\n");
Console.WriteLine("progress: placeholder");
var artifacts = new List<string>();
var inputs = new List<string>();
var diagnostics = new List<string>();
string weights = Path.Combine(Text("projectDirectory"), "weights", "mlp.safetensors");
if (File.Exists(weights) && new FileInfo(weights).Length <= 100)
{
    Console.WriteLine($"{weights}(1,1): error PDSL3002: cut off");
    return 1;
}

foreach (string recipe in request["recipes"]!.AsArray().Select(item => (string)item!))
{
    string text = File.ReadAllText(recipe);
    if (text.Contains("fail", StringComparison.Ordinal))
    {
        Console.WriteLine($"{recipe}(1,2,1,3): error PDSL3007: told to fail");
        return 1;
    }

    if (text.Contains("crash", StringComparison.Ordinal))
    {
        Console.Error.WriteLine("something odd");
        return 134;
    }

    string name = Path.GetFileName(recipe).Replace(".recipe.yaml", "", StringComparison.Ordinal);
    string output = Path.Combine(Text("outputDirectory"), name);
    Directory.CreateDirectory(output);
    foreach (string file in new[] { "model.safetensors", "manifest.json" })
    {
        File.WriteAllText(Path.Combine(output, file), text);
        artifacts.Add($"{Path.Combine(output, file)}|models/{name}/{file}");
    }

    File.AppendAllText(Text("journal"), $"unit {name}\n");
    inputs.AddRange(Directory.GetFiles(Text("projectDirectory"), "*.safetensors", SearchOption.AllDirectories).Where(path => !path.Contains("/obj/", StringComparison.Ordinal) && !path.Contains("/bin/", StringComparison.Ordinal)));
    diagnostics.Add($"{recipe}(3,1,3,5): warning PDSL3014: placeholder says so");
    Console.WriteLine(diagnostics[^1]);
}

File.WriteAllLines(Path.Combine(folder, "inputs.list"), inputs);
File.WriteAllLines(Path.Combine(folder, "diagnostics.list"), diagnostics);
File.WriteAllLines(Text("artifactsList"), artifacts);
return 0;
