namespace PipelineDsl.Tasks;

/// <summary>The codes that the tasks log, as <c>DiagnosticIds</c> lists them: the tasks reference no other project.</summary>
internal static class Codes
{
    internal const string HostNotFound = "PDSL2001";
    internal const string HostCrashed = "PDSL2002";
    internal const string OldSystemLibrary = "PDSL2004";
    internal const string UnlistedRecipe = "PDSL2007";
}
