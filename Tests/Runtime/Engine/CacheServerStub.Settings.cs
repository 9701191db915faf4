using PipelineDsl.Runtime.Engine;

namespace PipelineDsl.Runtime.Tests.Engine;

/// <summary>How a client in the same process finds it.</summary>
internal sealed partial class CacheServerStub
{
    /// <summary>A client's settings.</summary>
    public CacheServer Settings(bool readOnly = false, string? token = null, double patience = 10) =>
        new() { Address = Address, ReadOnly = readOnly, Token = token, Place = "App.csproj", Patience = TimeSpan.FromSeconds(patience) };
}
