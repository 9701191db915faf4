using System.CodeDom.Compiler;
using System.Reflection;
using System.Reflection.Emit;
using System.Security.Cryptography;
using System.Text;

namespace PipelineDsl.Runtime.Engine;

/// <summary>Tells whether the user's code changed in a way that what runs the model could depend on.</summary>
/// <remarks>
/// What a pipeline's class can reach counts: every class that its code names, and in turn those that they name, in the user's assembly and in those of project references; of each all members with the
/// instructions of their bodies, whose operands are spelled out, so that a change elsewhere does not show. The generated data of recipes does not count: changing a rank must not repeat the calibration. Where
/// reachable code finds members by their names at run time, nothing is certain, and all assemblies count as a whole.
/// </remarks>
internal static class CodeFingerprint
{
    private const BindingFlags Everything = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    /// <summary>Ways to reach code that no instruction names.</summary>
    private static readonly string[] Reflection = ["System.Reflection", "System.Runtime.Loader", "System.Linq.Expressions", "Microsoft.CSharp.RuntimeBinder", "System.Activator"];

    /// <summary>The fingerprint of what a pipeline can reach: SHA-256, hexadecimal.</summary>
    /// <param name="pipeline">The pipeline's class.</param>
    public static string Of(Type pipeline)
    {
        var lines = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var type in Reachable(pipeline, line => lines.Add(line)) ?? [])
        {
            lines.Add(type.AssemblyQualifiedName!);
        }

        return Digest(lines.Count > 0 ? lines : [.. Own(pipeline.Assembly).Select(assembly => $"{assembly.GetName().Name} {assembly.ManifestModule.ModuleVersionId}")]);
    }

    /// <summary>The classes of the user's that a class can reach, or null where that cannot be said.</summary>
    /// <param name="start">The class.</param>
    /// <param name="describe">Takes a description of each member of each of them.</param>
    internal static IReadOnlyCollection<Type>? Reachable(Type start, Action<string> describe)
    {
        var own = Own(start.Assembly).ToHashSet();
        var seen = new HashSet<Type>();
        var open = new Stack<Type>([start]);
        try
        {
            while (open.TryPop(out var next))
            {
                foreach (var type in Definitions(next).Where(type => own.Contains(type.Assembly) && !IsData(type) && seen.Add(type)))
                {
                    new TypeReader(type, describe, open.Push).Read();
                }
            }

            return seen;
        }
        catch (Exception failure) when (failure is Unclear or ArgumentException or IOException or TypeLoadException or MissingMemberException or BadImageFormatException or NotSupportedException)
        {
            return null;
        }
    }

    /// <summary>The assembly and those staged next to it, which come from project references, directly or not.</summary>
    private static List<Assembly> Own(Assembly assembly)
    {
        string? folder = Path.GetDirectoryName(assembly.Location);
        var own = new List<Assembly> { assembly };
        for (int i = 0; i < own.Count && !string.IsNullOrEmpty(folder); i++)
        {
            own.AddRange(own[i].GetReferencedAssemblies()
                .Where(name => File.Exists(Path.Combine(folder, name.Name + ".dll")) && !IsLibrary(name.Name!))
                .OrderBy(name => name.Name, StringComparer.Ordinal)
                .Select(Assembly.Load)
                .Where(found => !own.Contains(found)));
        }

        return own;
    }

    /// <summary>The libraries that the engine itself runs on count by their versions.</summary>
    private static bool IsLibrary(string name) => name.StartsWith("PipelineDsl.", StringComparison.Ordinal) || name.StartsWith("TorchSharp", StringComparison.Ordinal);

    /// <summary>A type as it is declared, and the types that stand in it.</summary>
    private static IEnumerable<Type> Definitions(Type type) => type switch
    {
        { HasElementType: true } => Definitions(type.GetElementType()!),
        { IsGenericParameter: true } => [],
        { IsConstructedGenericType: true } => type.GetGenericArguments().SelectMany(Definitions).Prepend(type.GetGenericTypeDefinition()),
        _ => [type],
    };

    /// <summary>The generated data of recipes, and constants of the compiler, whose names carry a digest of what they are.</summary>
    private static bool IsData(Type type) => type.FullName == "<PrivateImplementationDetails>" || type.DeclaringType?.FullName == "<PrivateImplementationDetails>" ||
        type.GetCustomAttribute<GeneratedCodeAttribute>()?.Tool == "PipelineDsl" && !typeof(IModelPipeline).IsAssignableFrom(type);

    private static string Digest(IEnumerable<string> lines) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', lines))));

    /// <summary>What is reachable cannot be said.</summary>
    private sealed class Unclear : Exception;

    /// <summary>Reads the members of one type.</summary>
    private sealed class TypeReader(Type type, Action<string> describe, Action<Type> reach)
    {
        private static readonly Dictionary<short, OpCode> OpCodesByValue = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => code.Value);

        public void Read()
        {
            Name(type.BaseType);
            type.GetInterfaces().ToList().ForEach(Name);
            describe($"{type} : {type.BaseType}, {Attributes(type)}");
            foreach (var field in type.GetFields(Everything))
            {
                Name(field.FieldType);
                describe($"{type}.{field} {field.Attributes} {Attributes(field)} {(field.IsLiteral ? field.GetRawConstantValue() : "")}");
            }

            foreach (var method in type.GetMethods(Everything).Cast<MethodBase>().Concat(type.GetConstructors(Everything)))
            {
                describe($"{type}.{method} {method.Attributes} {Attributes(method)} {Body(method)}");
            }
        }

        /// <summary>Attributes but those of this library: a step on a member is data of a recipe.</summary>
        private static string Attributes(MemberInfo member) => string.Join(", ", member.GetCustomAttributesData()
            .Where(attribute => attribute.AttributeType.Namespace?.StartsWith(nameof(PipelineDsl), StringComparison.Ordinal) != true && attribute.AttributeType.Namespace != "System.Runtime.CompilerServices")
            .Select(attribute => attribute.ToString())
            .Order(StringComparer.Ordinal));

        private void Name(Type? named)
        {
            if (named is not null)
            {
                reach(named);
            }
        }

        private string Body(MethodBase method)
        {
            if (method.GetMethodBody() is not { } body)
            {
                return "";
            }

            body.LocalVariables.ToList().ForEach(variable => Name(variable.LocalType));
            var text = new StringBuilder();
            foreach (var clause in body.ExceptionHandlingClauses)
            {
                text.Append(clause.ToString());
                Name(clause.Flags == ExceptionHandlingClauseOptions.Clause ? clause.CatchType : null);
            }

            Instructions(body.GetILAsByteArray()!, method, text);
            return Digest([text.ToString()]);
        }

        private void Instructions(byte[] code, MethodBase method, StringBuilder text)
        {
            int at = 0;
            while (at < code.Length)
            {
                short value = code[at++];
                if (value == 0xfe)
                {
                    value = unchecked((short)(0xfe00 | code[at++]));
                }

                var operation = OpCodesByValue[value];
                text.Append(operation.Name).Append(' ');
                int size = operation.OperandType switch
                {
                    OperandType.InlineNone => 0,
                    OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                    OperandType.InlineVar => 2,
                    OperandType.InlineI8 or OperandType.InlineR => 8,
                    OperandType.InlineSwitch => 4 + (4 * BitConverter.ToInt32(code, at)),
                    _ => 4,
                };
                text.Append(operation.OperandType is OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType or OperandType.InlineString or OperandType.InlineSig
                    ? Operand(operation.OperandType, BitConverter.ToInt32(code, at), method)
                    : Convert.ToHexString(code, at, size)).Append('\n');
                at += size;
            }
        }

        /// <summary>Whether a member of <see cref="System.Type"/> finds others by name, as its properties and comparisons do not.</summary>
        private static bool IsLookup(string name) => name is nameof(Type.InvokeMember) or nameof(Type.MakeGenericType) || (name.StartsWith("Get", StringComparison.Ordinal) && name != nameof(Type.GetTypeFromHandle));

        private string Operand(OperandType kind, int token, MethodBase method)
        {
            if (kind == OperandType.InlineString)
            {
                return method.Module.ResolveString(token);
            }

            if (kind == OperandType.InlineSig)
            {
                return Convert.ToHexString(method.Module.ResolveSignature(token));
            }

            var member = method.Module.ResolveMember(token, type.GetGenericArguments(), method.IsGenericMethod ? method.GetGenericArguments() : null)!;
            var owner = member as Type ?? member.DeclaringType;
            if (owner is not null && member.Name != "get_Name" && (Reflection.Any(name => (owner.FullName ?? owner.Name).StartsWith(name, StringComparison.Ordinal)) || (owner == typeof(Type) && IsLookup(member.Name))))
            {
                throw new Unclear();
            }

            Name(owner);
            if (member is MethodInfo called)
            {
                called.GetGenericArguments().ToList().ForEach(Name);
                Name(called.ReturnType);
            }

            return $"{owner} {member}";
        }
    }
}
