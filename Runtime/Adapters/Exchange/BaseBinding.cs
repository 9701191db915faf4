using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Formats;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Adapters.Exchange;

/// <summary>Which weights an adapter was trained on: <c>pipelinedsl.json</c> beside the files of PEFT, which has no word for it.</summary>
/// <param name="Model">The full name of the model's class.</param>
/// <param name="Digests">SHA-256 of each adapted layer's weight as the model holds it, by the layer's path.</param>
internal sealed record BaseBinding(string Model, IReadOnlyDictionary<string, string> Digests)
{
    /// <summary>The file.</summary>
    public const string FileName = "pipelinedsl.json";

    private const int Schema = 1;

    /// <summary>The digest of a weight: SHA-256 of its bytes in row-major order, hexadecimal.</summary>
    public static string DigestOf(Tensor weight)
    {
        using var scope = NewDisposeScope();
        return Convert.ToHexStringLower(SHA256.HashData(weight.detach().cpu().contiguous().bytes));
    }

    /// <summary>Writes the file; same binding, same bytes.</summary>
    /// <exception cref="PipelineException">PDSL3012: it cannot be written.</exception>
    public void Write(string folder)
    {
        var digests = new JsonObject();
        foreach (var (path, digest) in Digests.OrderBy(item => item.Key, StringComparer.Ordinal))
        {
            digests[path] = digest;
        }

        byte[] bytes = Encoding.UTF8.GetBytes(new JsonObject { ["base"] = digests, ["model"] = Model, ["schema"] = Schema }.ToJsonString(new() { WriteIndented = true, NewLine = "\n" }) + "\n");
        AtomicFile.Write(Path.Combine(folder, FileName), stream => stream.Write(bytes));
    }

    /// <summary>Reads the file, or null where there is none.</summary>
    /// <exception cref="PipelineException">PDSL3002: it is damaged or of a later version. PDSL3012: it cannot be read.</exception>
    public static BaseBinding? Read(string folder)
    {
        string path = Path.Combine(folder, FileName);
        return !File.Exists(path) ? null : StrictJson.Read(path, DiagnosticIds.BrokenWeights, "an adapter's binding", root =>
            root.Get("schema").GetInt32() is var schema && schema != Schema
                ? throw new FormatException($"its schema is {schema} and this version reads {Schema}")
                : new BaseBinding(root.Text("model"), root.Get("base").EnumerateObject().ToDictionary(item => item.Name, item => item.Value.Text(), StringComparer.Ordinal)));
    }
}
