using System.Collections.Immutable;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace PipelineDsl.Cli.Projects;

/// <summary>Finds the module classes of a compiled assembly in its metadata. None of its code is loaded or run.</summary>
internal sealed class ModelScan : IDisposable
{
    private const string Modules = "TorchSharp.Modules.";
    private const string ModuleBase = "TorchSharp.torch.nn.Module";

    private readonly string[] folders;
    private readonly Dictionary<string, OpenAssembly?> assemblies = new(StringComparer.Ordinal);

    private ModelScan(string[] folders) => this.folders = folders;

    /// <summary>Reads an assembly.</summary>
    /// <param name="path">Its file; assemblies that it refers to are looked for beside it.</param>
    /// <param name="others">More folders of assemblies that it refers to; they need not exist.</param>
    /// <returns>Its module classes by name.</returns>
    /// <exception cref="BadImageFormatException">The file is no assembly.</exception>
    public static IReadOnlyList<ModelClass> Of(string path, params string[] others)
    {
        using var scan = new ModelScan([Path.GetDirectoryName(path)!, .. others]);
        var assembly = scan.Open(path);
        return [.. assembly.Reader.TypeDefinitions.Where(type => scan.IsModule(assembly, type)).Select(type => Read(assembly, type)).Where(type => !type.Name.Contains('<', StringComparison.Ordinal)).OrderBy(type => type.Name, StringComparer.Ordinal)];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var assembly in assemblies.Values)
        {
            assembly?.Dispose();
        }
    }

    private OpenAssembly Open(string path)
    {
        var assembly = new OpenAssembly(path);
        assemblies[Path.GetFileNameWithoutExtension(path)] = assembly;
        return assembly;
    }

    private OpenAssembly? Find(string name)
    {
        if (!assemblies.TryGetValue(name, out var found))
        {
            string? path = folders.Select(folder => Path.Combine(folder, name + ".dll")).FirstOrDefault(File.Exists);
            assemblies[name] = found = path is null ? null : new(path);
        }

        return found;
    }

    private bool IsModule(OpenAssembly assembly, TypeDefinitionHandle handle)
    {
        if (!assembly.Known.TryGetValue(handle, out bool known))
        {
            // Damaged metadata may go round in circles.
            assembly.Known[handle] = false;
            assembly.Known[handle] = known = IsModuleBase(assembly, assembly.Reader.GetTypeDefinition(handle).BaseType);
        }

        return known;
    }

    private bool IsModuleBase(OpenAssembly assembly, EntityHandle type) => !type.IsNil && type.Kind switch
    {
        HandleKind.TypeDefinition => IsModule(assembly, (TypeDefinitionHandle)type),
        HandleKind.TypeReference => IsModuleReference(assembly, (TypeReferenceHandle)type),
        HandleKind.TypeSpecification => IsModuleBase(assembly, Generic(assembly.Reader, (TypeSpecificationHandle)type)),
        _ => false,
    };

    private bool IsModuleReference(OpenAssembly assembly, TypeReferenceHandle handle)
    {
        string name = SignatureNames.NameOf(assembly.Reader, handle);
        if (name.Split('`')[0] == ModuleBase || name.StartsWith(Modules, StringComparison.Ordinal))
        {
            return true;
        }

        var scope = assembly.Reader.GetTypeReference(handle).ResolutionScope;
        while (scope.Kind == HandleKind.TypeReference)
        {
            scope = assembly.Reader.GetTypeReference((TypeReferenceHandle)scope).ResolutionScope;
        }

        return scope.Kind == HandleKind.AssemblyReference
            && Find(assembly.Reader.GetString(assembly.Reader.GetAssemblyReference((AssemblyReferenceHandle)scope).Name)) is { } other
            && other.Find(name) is { } definition
            && IsModule(other, definition);
    }

    /// <summary>The generic type that a specification makes a type of.</summary>
    private static EntityHandle Generic(MetadataReader reader, TypeSpecificationHandle handle)
    {
        var blob = reader.GetBlobReader(reader.GetTypeSpecification(handle).Signature);
        return blob.ReadSignatureTypeCode() == SignatureTypeCode.GenericTypeInstance && blob.ReadCompressedInteger() > 0 ? blob.ReadTypeHandle() : default;
    }

    private static ModelClass Read(OpenAssembly assembly, TypeDefinitionHandle handle)
    {
        var reader = assembly.Reader;
        var type = reader.GetTypeDefinition(handle);
        var fields = new Dictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
        for (var current = handle; ;)
        {
            var definition = reader.GetTypeDefinition(current);
            foreach (var field in definition.GetFields().Select(reader.GetFieldDefinition).Where(field => (field.Attributes & FieldAttributes.Static) == 0))
            {
                // A field of the class itself hides one of its bases.
                fields.TryAdd(reader.GetString(field.Name), field.DecodeSignature(SignatureNames.Instance, null));
            }

            if (definition.BaseType.Kind != HandleKind.TypeDefinition || definition.BaseType.IsNil)
            {
                break;
            }

            current = (TypeDefinitionHandle)definition.BaseType;
        }

        bool creatable = (type.Attributes & TypeAttributes.Abstract) == 0 && type.GetGenericParameters().Count == 0 && IsVisible(reader, type)
            && type.GetMethods().Select(reader.GetMethodDefinition).Any(method => IsParameterless(reader, method));
        return new(SignatureNames.NameOf(reader, handle), fields, creatable);
    }

    private static bool IsVisible(MetadataReader reader, TypeDefinition type) =>
        (type.Attributes & TypeAttributes.VisibilityMask) is TypeAttributes.Public or TypeAttributes.NotPublic
        || ((type.Attributes & TypeAttributes.VisibilityMask) is TypeAttributes.NestedPublic or TypeAttributes.NestedAssembly or TypeAttributes.NestedFamORAssem && IsVisible(reader, reader.GetTypeDefinition(type.GetDeclaringType())));

    private static bool IsParameterless(MetadataReader reader, MethodDefinition method)
    {
        bool visible = (method.Attributes & MethodAttributes.MemberAccessMask) is MethodAttributes.Public or MethodAttributes.Assembly or MethodAttributes.FamORAssem;
        if (!visible || !reader.StringComparer.Equals(method.Name, ".ctor"))
        {
            return false;
        }

        int optional = method.GetParameters().Select(reader.GetParameter).Count(parameter => parameter.SequenceNumber > 0 && (parameter.Attributes & ParameterAttributes.Optional) != 0);
        return method.DecodeSignature(SignatureNames.Instance, null).ParameterTypes.Length == optional;
    }

    /// <summary>An assembly whose metadata is open.</summary>
    private sealed class OpenAssembly : IDisposable
    {
        private readonly PEReader file;
        private ImmutableDictionary<string, TypeDefinitionHandle>? names;

        public OpenAssembly(string path)
        {
            file = new(new MemoryStream(File.ReadAllBytes(path)));
            Reader = file.GetMetadataReader();
        }

        public MetadataReader Reader { get; }

        public Dictionary<TypeDefinitionHandle, bool> Known { get; } = [];

        public TypeDefinitionHandle? Find(string name)
        {
            names ??= Reader.TypeDefinitions.Select(handle => KeyValuePair.Create(SignatureNames.NameOf(Reader, handle), handle)).DistinctBy(entry => entry.Key).ToImmutableDictionary();
            return names.TryGetValue(name, out var found) ? found : null;
        }

        public void Dispose() => file.Dispose();
    }
}
