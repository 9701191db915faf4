using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Builds the 256-bit name of a unit of work from everything its result depends on.</summary>
/// <param name="kind">What is computed, so that keys of different kinds never meet.</param>
internal sealed class ContentKey(string kind)
{
    private readonly StringBuilder text = new StringBuilder(kind).Append('\n');

    /// <summary>Adds one thing that the result depends on.</summary>
    public ContentKey Add(string name, string value)
    {
        text.Append(name.Length.ToString(CultureInfo.InvariantCulture)).Append(':').Append(name)
            .Append(value.Length.ToString(CultureInfo.InvariantCulture)).Append(':').Append(value).Append('\n');
        return this;
    }

    /// <inheritdoc cref="Add(string, string)"/>
    public ContentKey Add(string name, long value) => Add(name, value.ToString(CultureInfo.InvariantCulture));

    /// <inheritdoc cref="Add(string, string)"/>
    public ContentKey Add(string name, double value) => Add(name, value.ToString("R", CultureInfo.InvariantCulture));

    /// <summary>The key: SHA-256, hexadecimal.</summary>
    public override string ToString() => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
}
