package jsonscan

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestAppendPlain(t *testing.T) {
	for _, tt := range []struct{ name, raw, want string }{
		{"nothing", ``, ``},
		{"no escape", `abc/`, `abc/`},
		{"short escapes", `\"\\\b\f\n\r\t`, `\"\\\b\f\n\r\t`},
		{"slashes", `\/a\/`, `/a/`},
		{"escapes of what needs none", `\u003cb\u003E\u0020\u007f`, "<b> \x7f"},
		{"quotes and backslashes", `\u0022\u005c\u005C`, `\"\\\\`},
		{"control characters", `\u0008\u000c\u000A\u000d\u0009`, `\b\f\n\r\t`},
		{"control characters without a short escape", `\u0000\u001F\u000b`, `\u0000\u001f\u000b`},
		{"wide characters", `\u0080\u00e9\u4f60\u597d\ud83d\ude00\u0041`, "\u0080é你好😀A"},
		{"half a pair", `\ud83d\/\ude00\/`, "\ufffd/\ufffd/"},
		{"an escaped backslash before what looks like an escape", `\\u0041\\/\\\u0041`, `\\u0041\\/\\A`},
		{"what is no escape, and all behind it", `\/\u12g4\/`, `/\u12g4\/`},
		{"too short for an escape", `\/\u12`, `/\u12`},
		{"a backslash and a letter without meaning", `\q\/`, `\q/`},
		{"a backslash at the end", `\/\`, `/\`},
		{"bytes that are no UTF-8", "\xff\\/\xc0", "\xff/\xc0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, string(AppendPlain(nil, []byte(tt.raw))))
			for n := range 2*blockSize + 1 { // in each place of a block, with more behind it and with nothing
				in := strings.Repeat("x", n)
				require.Equal(t, in+tt.want, string(AppendPlain(nil, []byte(in+tt.raw))), n)
				behind := strings.Repeat("y", 2*blockSize)
				require.Equal(t, in+tt.want+behind, string(AppendPlain(nil, []byte(in+tt.raw+behind))), n)
			}
		})
	}
}

// TestAppendPlainOfAnything holds AppendPlain to plainByBytes, and to keeping what dst has already,
// whether there is room for more or not.
func TestAppendPlainOfAnything(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a word ", "a", "u", "/", "é", `\n`, `\\`, `\\\\`, `\"`, `\/`, `\u003c`, `\u0022`, `\u000a`, `\u4f60`, `\ud83d`, `\ude00`,
		strings.Repeat("x", 30), strings.Repeat("x", 130), strings.Repeat(`\t`, 40), `\u00`, `\`}
	for range 5000 {
		var text strings.Builder
		usual := len(pieces) - 2*random.IntN(2) // or also what is no escape
		for range random.IntN(60) {
			text.WriteString(pieces[random.IntN(usual)])
		}
		raw := []byte(text.String())
		want := plainByBytes(raw)
		for _, room := range []int{0, len(raw) / 2, len(raw), len(raw) + 1, len(raw) + blockSize} {
			dst := append(make([]byte, 0, 3+room), "abc"...)
			require.Equal(t, "abc"+want, string(AppendPlain(dst, raw)), "%s", raw)
		}
		require.Equal(t, text.String(), string(raw), "the text is only read")
	}
}

// plainByBytes is AppendPlain, from one byte to the next.
func plainByBytes(raw []byte) string {
	var b []byte
	for len(raw) > 0 {
		switch {
		case len(raw) == 1 || raw[0] != '\\':
			b, raw = append(b, raw[0]), raw[1:]
			continue
		case raw[1] == '/':
			b, raw = append(b, '/'), raw[2:]
			continue
		case raw[1] != 'u':
			b, raw = append(b, raw[:2]...), raw[2:]
			continue
		}
		r, n := escape(raw)
		if n == 0 {
			return string(b) + string(raw)
		}
		raw = raw[n:]
		switch {
		case r == '"', r == '\\':
			b = append(b, '\\', byte(r))
		case r >= ' ':
			b = utf8.AppendRune(b, r)
		default:
			b = appendControl(b, byte(r))
		}
	}
	return string(b)
}
