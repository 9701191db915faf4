namespace Microsoft.Build.Framework;

/// <summary>Tells MSBuild, which looks for it by name, that a task may share its process with others under <c>-mt</c>.</summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class MSBuildMultiThreadableTaskAttribute : Attribute;
