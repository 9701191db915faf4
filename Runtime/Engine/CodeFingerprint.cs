using System.CodeDom.Compiler;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Tells whether the user's code changed in a way that statistics could depend on.</summary>
/// <remarks>
/// The bodies of all methods count, those of the user's part of a pipeline too, except the generated data of recipes: changing a rank must
/// not repeat the calibration. Assemblies that the project references count by identity of their build.
/// </remarks>
internal static class CodeFingerprint
{
    private const BindingFlags Everything = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    /// <summary>The fingerprint of an assembly: SHA-256, hexadecimal.</summary>
    /// <param name="assembly">The user's assembly.</param>
    public static string Of(Assembly assembly)
    {
        var text = new StringBuilder();
        foreach (var type in assembly.GetTypes().Where(type => !IsRecipeData(type)).OrderBy(type => type.FullName, StringComparer.Ordinal))
        {
            text.Append(type.FullName).Append('\n');
            foreach (var field in type.GetFields(Everything).OrderBy(field => field.Name, StringComparer.Ordinal))
            {
                text.Append(field).Append('\n');
            }

            IEnumerable<MethodBase> methods = [.. type.GetMethods(Everything), .. type.GetConstructors(Everything)];
            foreach (var method in methods.OrderBy(method => method.ToString(), StringComparer.Ordinal))
            {
                byte[] body = method.GetMethodBody()?.GetILAsByteArray() ?? [];
                text.Append(method).Append(' ').Append(Convert.ToHexStringLower(SHA256.HashData(body))).Append('\n');
            }
        }

        foreach (string build in ProjectReferences(assembly))
        {
            text.Append(build).Append('\n');
        }

        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }

    /// <summary>Assemblies staged next to the user's come from project references.</summary>
    private static IEnumerable<string> ProjectReferences(Assembly assembly)
    {
        string? folder = Path.GetDirectoryName(assembly.Location);
        return string.IsNullOrEmpty(folder)
            ? []
            : assembly.GetReferencedAssemblies()
                .Where(name => File.Exists(Path.Combine(folder, name.Name + ".dll")))
                .Select(name => $"{name.Name} {Assembly.Load(name).ManifestModule.ModuleVersionId}")
                .Order(StringComparer.Ordinal);
    }

    private static bool IsRecipeData(Type type) =>
        type.GetCustomAttribute<GeneratedCodeAttribute>()?.Tool == "PipelineDsl" && !typeof(IModelPipeline).IsAssignableFrom(type);
}
