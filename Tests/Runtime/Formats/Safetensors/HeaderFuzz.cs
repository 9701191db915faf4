using System.Buffers.Binary;
using System.Text;
using PipelineDsl.Diagnostics;
using PipelineDsl.Fuzzing;
using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Runtime.Tests.Formats.Safetensors;

/// <summary>Broken headers through the reader of safetensors files.</summary>
internal static class HeaderFuzz
{
    /// <summary>Files take their time, so most headers are read from memory.</summary>
    private const int CasesPerFile = 16;

    private static readonly string[] Seeds =
    [
        """{"__metadata__":{"format":"pt","note":"a \"quoted\" \u00e9 text"},"a.weight":{"dtype":"F32","shape":[16,8],"data_offsets":[0,512]},"b":{"dtype":"BF16","shape":[],"data_offsets":[512,514]},"c":{"dtype":"U8","shape":[0,4],"data_offsets":[514,514]}}""",
        """ { "x" : { "shape" : [ 2 , 3 ] , "data_offsets" : [ 0 , 48 ] , "dtype" : "F64" } , "y" : { "dtype" : "I64" , "shape" : [ 1 ] , "data_offsets" : [ 48 , 56 ] } }   """,
        "{}",
        "{" + string.Join(",", Enumerable.Range(0, 40).Select(i => $$"""  "layers.{{i}}.w":{"dtype":"F16","shape":[4,4],"data_offsets":[{{i * 32}},{{(i + 1) * 32}}]}  """)) + "}",
        """{"q":{"dtype":"F4","shape":[32],"data_offsets":[0,16]},"r":{"dtype":"F8_E4M3","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[16,17]}}""",
    ];

    private static readonly string[] Words =
    [
        "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u0000", "\\ud800", "null", "true", "-", ".", "e9", "\"dtype\":", "\"shape\":", "\"data_offsets\":", "\"__metadata__\":", "\"F32\"", "\"I4\"", "\"F6_E2M3\"", "\"C64\"", "\"BOOL\"",
        "[0,0]", "[2,18446744073709551614]", "[2,9223372036854775807]", "\u00e9", "\U0001F600", "\t", "\n", "\0", "//", "/**/", " ", "\uFEFF", "NaN",
    ];

    /// <summary>Breaks and reads headers.</summary>
    public static FuzzingResult Run(int cases, int seed)
    {
        var mutations = new Mutations([.. Seeds.Select(Encoding.UTF8.GetBytes)], [.. Words.Select(Encoding.UTF8.GetBytes)], seed);
        var random = new Random(seed);
        string file = Path.Combine(Path.GetTempPath(), $"pipelinedsl-fuzz-{Path.GetRandomFileName()}.safetensors");
        try
        {
            return Fuzzer.Run(cases, mutations.Next, header => random.Next(CasesPerFile) == 0 ? ReadFile(header, random, file) : ReadHeader(header, random));
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static bool ReadHeader(byte[] json, Random random)
    {
        try
        {
            long length = DataLength(random);
            var header = SafetensorsHeader.Parse(json, length);
            long end = 0;
            foreach (var tensor in header.Tensors)
            {
                if (tensor.Offset != end || tensor.ByteCount < 0)
                {
                    throw new InvalidOperationException($"tensor '{tensor.Name}' lies at {tensor.Offset} with {tensor.ByteCount} bytes where {end} is free");
                }

                end += tensor.ByteCount;
            }

            return end == length ? true : throw new InvalidOperationException($"the tensors take {end} bytes of {length}");
        }
        catch (HeaderException broken) when (broken.Message.Length > 0)
        {
            return false;
        }
    }

    /// <summary>The same as a file whose length may lie as well; every tensor that is accepted can be read.</summary>
    private static bool ReadFile(byte[] json, Random random, string path)
    {
        byte[] file = new byte[8 + json.Length + (int)Math.Min(DataLength(random), 4096)];
        BinaryPrimitives.WriteUInt64LittleEndian(file, random.Next(8) == 0 ? (ulong)random.NextInt64() >> random.Next(64) : (ulong)json.Length);
        json.CopyTo(file, 8);
        File.WriteAllBytes(path, random.Next(8) == 0 ? file[..random.Next(file.Length)] : file);
        try
        {
            using var opened = SafetensorsFile.Open(path);
            foreach (string name in opened.Names)
            {
                opened.Digest(name);
            }

            return true;
        }
        catch (PipelineException refused) when (refused.Diagnostic.Id == DiagnosticIds.BrokenWeights)
        {
            return false;
        }
    }

    private static long DataLength(Random random) => random.Next(6) switch
    {
        0 => 0,
        1 => 56,
        2 => 1280,
        3 => 17,
        4 => random.Next(4096),
        _ => 514,
    };
}
