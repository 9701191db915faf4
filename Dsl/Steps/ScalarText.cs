using System;
using System.Globalization;
using System.Linq;

namespace PipelineDsl;

/// <summary>Turns the text of a YAML scalar into a setting's value, with a hint when it cannot.</summary>
internal static class ScalarText
{
    public static bool TryParse(SettingDescriptor setting, string text, out object value, out string problem)
    {
        value = setting.Default;
        problem = $"'{setting.Name}' is '{text}'; it must be {Wanted(setting, text)}";
        if (setting.Type == typeof(string))
        {
            value = text;
        }
        else if (setting.Type == typeof(bool))
        {
            if (text is not ("true" or "false"))
            {
                return false;
            }

            value = text == "true";
        }
        else if (setting.Type.IsEnum)
        {
            string? name = Enum.GetNames(setting.Type).FirstOrDefault(choice => SettingDescriptor.CamelCase(choice) == text);
            if (name is null)
            {
                problem += NearestName.Hint(text, setting.Choices);
                return false;
            }

            value = Enum.Parse(setting.Type, name);
        }
        else if (setting.Type == typeof(double))
        {
            if (!TryParseNumber(text, out double number))
            {
                return false;
            }

            value = number;
        }
        else
        {
            if (!long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ||
                (setting.Type == typeof(int) && number is < int.MinValue or > int.MaxValue))
            {
                return false;
            }

            value = setting.Type == typeof(int) ? (object)(int)number : number;
        }

        string? outside = setting.CheckRange(value);
        problem = outside ?? "";
        return outside is null;
    }

    /// <summary>What a text that is no value of the setting should be.</summary>
    public static string Wanted(SettingDescriptor setting, string text)
    {
        if (setting.Type == typeof(double))
        {
            return "a number or a percentage such as 5%, " + setting.RangeText;
        }

        if (setting.Type != typeof(int) && setting.Type != typeof(long))
        {
            return setting.RangeText;
        }

        bool isTooLong = text.TrimStart('-', '+') is { Length: > 0 } digits && digits.All(digit => digit is >= '0' and <= '9');
        return isTooLong ? $"a whole number of at most {(setting.Type == typeof(int) ? int.MaxValue : long.MaxValue).ToString(CultureInfo.InvariantCulture)}"
            : setting.Range is null ? "a whole number" : "a whole number, " + setting.RangeText;
    }

    /// <summary>A finite number, or a percentage: <c>0.05</c> or <c>5%</c>.</summary>
    public static bool TryParseNumber(string text, out double number)
    {
        bool percent = text.EndsWith("%", StringComparison.Ordinal);
        string digits = percent ? text.Substring(0, text.Length - 1).TrimEnd() : text;
        bool parsed = double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out number) && !double.IsNaN(number) && !double.IsInfinity(number);
        number = percent ? number / 100 : number;
        return parsed;
    }
}
