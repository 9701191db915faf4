namespace PipelineDsl.Runtime.Artifacts;

/// <summary>An artifact in the layout of another program.</summary>
/// <param name="Format">Its name in a recipe.</param>
/// <param name="Files">Its files, by path below the artifact's folder.</param>
/// <param name="Quantized">The layers that it holds as codes, by path.</param>
/// <param name="Floats">Compressed layers that it holds as plain floats.</param>
/// <param name="Notes">What else it cannot hold.</param>
public sealed record ExportRecord(
    string Format,
    IReadOnlyList<ExportedFile> Files,
    IReadOnlyList<string> Quantized,
    IReadOnlyList<FloatLayer> Floats,
    IReadOnlyList<string> Notes)
{
    /// <summary>What the format has no place for, in sentences that go on after its name; layers of one reason together.</summary>
    public IEnumerable<string> Remarks() => Floats
        .GroupBy(layer => layer.Reason, layer => layer.Layer)
        .Select(alike => $"holds as plain floats, because {alike.Key}: {string.Join(", ", alike)}")
        .Concat(Notes.Select(note => $"is not complete: {note}"));
}

/// <summary>A file of an export.</summary>
/// <param name="Path">Below the artifact's folder, with <c>/</c>.</param>
/// <param name="Sha256">Hexadecimal.</param>
/// <param name="Bytes">Its length.</param>
public sealed record ExportedFile(string Path, string Sha256, long Bytes);

/// <summary>A compressed layer that a format has no place for.</summary>
/// <param name="Layer">Its path.</param>
/// <param name="Reason">Why.</param>
public sealed record FloatLayer(string Layer, string Reason);
