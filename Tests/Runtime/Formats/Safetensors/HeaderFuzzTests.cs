namespace PipelineDsl.Runtime.Tests.Formats.Safetensors;

public sealed class HeaderFuzzTests
{
    [Fact]
    public void Broken_headers_are_read_without_harm_and_refused_with_a_code()
    {
        var result = HeaderFuzz.Run(cases: 40_000, seed: 1);
        result.Findings.ShouldBeEmpty();
        result.Refused.ShouldBeGreaterThan(20_000);
        result.Right.ShouldBeGreaterThan(0);
    }
}
