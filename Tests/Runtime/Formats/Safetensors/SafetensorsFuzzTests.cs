using PipelineDsl.Runtime.Formats;
using PipelineDsl.Runtime.Formats.Safetensors;

using static PipelineDsl.Runtime.Tests.Formats.Safetensors.RawSafetensors;

namespace PipelineDsl.Runtime.Tests.Formats.Safetensors;

public sealed class SafetensorsFuzzTests
{
    private static readonly string Header =
        $"{{\"__metadata__\":{{\"format\":\"pt\",\"é\":\"\\u00e9\"}},{Entry("model.a", "F32", "[2,3]", "[0,24]")},{Entry("model.b", "F4", "[2,2]", "[24,26]")},{Entry("c", "BF16", "[]", "[26,28]")}}}";

    private static readonly byte[] Interesting = [0, 0x09, 0x20, 0x22, 0x2C, 0x2D, 0x2E, 0x30, 0x39, 0x3A, 0x5B, 0x5C, 0x5D, 0x65, 0x7B, 0x7D, 0x80, 0xC3, 0xED, 0xFF];

    [Fact]
    public void A_mutated_header_is_accepted_or_refused_but_never_fails_otherwise()
    {
        var random = new Random(20_000);
        int refused = 0;
        for (int i = 0; i < 20_000; i++)
        {
            refused += IsRefused(Mutated(random)) ? 1 : 0;
        }

        refused.ShouldBeInRange(15_000, 19_999);
    }

    [Fact]
    public void Reading_a_header_takes_memory_in_proportion_to_its_length()
    {
        // The worst case is one digit and a comma for each number that is kept.
        byte[] header = System.Text.Encoding.UTF8.GetBytes($"{{{Entry("a", "U8", $"[{string.Join(',', Enumerable.Repeat("1", 100_000))}]", "[0,1]")}}}");
        long before = GC.GetAllocatedBytesForCurrentThread();

        SafetensorsHeader.Parse(header, 1).Tensors.Count.ShouldBe(1);

        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(20L * header.Length);
    }

    private static bool IsRefused(byte[] header)
    {
        try
        {
            var read = SafetensorsHeader.Parse(header, 28);
            read.Tensors.Sum(tensor => tensor.ByteCount).ShouldBe(28);
            return false;
        }
        catch (HeaderException)
        {
            return true;
        }
    }

    private static byte[] Mutated(Random random)
    {
        var bytes = new List<byte>(System.Text.Encoding.UTF8.GetBytes(Header));
        for (int changes = random.Next(1, 4); changes > 0; changes--)
        {
            int place = random.Next(bytes.Count);
            switch (random.Next(5))
            {
                case 0:
                    bytes[place] = Interesting[random.Next(Interesting.Length)];
                    break;
                case 1:
                    bytes[place] ^= (byte)(1 << random.Next(8));
                    break;
                case 2:
                    bytes.Insert(place, Interesting[random.Next(Interesting.Length)]);
                    break;
                case 3:
                    bytes.RemoveRange(place, Math.Min(random.Next(1, 20), bytes.Count - place - 1));
                    break;
                default:
                    bytes.InsertRange(place, bytes.GetRange(0, Math.Min(random.Next(1, 80), bytes.Count)));
                    break;
            }
        }

        return [.. bytes];
    }
}
