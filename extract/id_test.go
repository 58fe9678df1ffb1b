package extract_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

const (
	uuid  = "ca40aa6d-4238-464e-98df-6ba3e9377c6e"
	uuid2 = "0123abcd-0000-4000-8000-00000000000f"
)

// What is not an id is as if absent, however long, and nothing that could break a log line
// gets through.
func TestID(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		in   string
		want string // "" means that it is no id
	}{
		{"plain", "chat-1", "chat-1"},
		{"one byte", "a", "a"},
		{"white space around is cut off", " \t\r\n chat-1 \n", "chat-1"},
		{"Unicode white space around is cut off", "\u00a0\u2003chat-1\u3000", "chat-1"},
		{"a space inside stays", "my chat", "my chat"},
		{"upper case stays", "Chat-ABC", "Chat-ABC"},
		{"printable Unicode", "чат-会話-é", "чат-会話-é"},
		{"punctuation", `agent:main|"x"/y\z;{a}[b]<c>$d#e%f`, `agent:main|"x"/y\z;{a}[b]<c>$d#e%f`},
		{"256 bytes", strings.Repeat("x", 256), strings.Repeat("x", 256)},
		{"256 bytes and white space around", " " + strings.Repeat("x", 256) + " ", strings.Repeat("x", 256)},
		{"256 bytes of Unicode", strings.Repeat("é", 128), strings.Repeat("é", 128)},
		{"a negative number as text", "-3750763034362895579", "-3750763034362895579"},

		{"a uuid in upper case is the same uuid", strings.ToUpper(uuid), uuid},
		{"a uuid in mixed case", "CA40aa6d-4238-464E-98df-6ba3e9377C6E", uuid},
		{"not quite a uuid keeps its case", "CA40AA6D-4238-464E-98DF-6BA3E9377C6", "CA40AA6D-4238-464E-98DF-6BA3E9377C6"},
		{"hyphens in other places keep the case", "CA40AA6D4-238-464E-98DF-6BA3E9377C6E", "CA40AA6D4-238-464E-98DF-6BA3E9377C6E"},
		{"hexadecimal digits are no uuid", " ABCD ", "ABCD"},
		{"hexadecimal digits as long as a uuid", strings.Repeat("A", 36), strings.Repeat("A", 36)},
		{"a dot keeps the case", "CA40AA6D-4238-464E-98DF-6BA3E9377C6.", "CA40AA6D-4238-464E-98DF-6BA3E9377C6."},
		{"a letter behind F keeps the case", "CA40AA6D-4238-464E-98DF-6BA3E9377C6g", "CA40AA6D-4238-464E-98DF-6BA3E9377C6g"},
		{"a sign before A keeps the case", "CA40AA6D-4238-464E-98DF-6BA3E9377C6@", "CA40AA6D-4238-464E-98DF-6BA3E9377C6@"},
		{"no hexadecimal digits keep the case", "GA40AA6D-4238-464E-98DF-6BA3E9377C6E", "GA40AA6D-4238-464E-98DF-6BA3E9377C6E"},
		{"a uuid behind a prefix keeps its case", "T-CA40AA6D-4238-464E-98DF-6BA3E9377C6E", "T-CA40AA6D-4238-464E-98DF-6BA3E9377C6E"},

		{"empty", "", ""},
		{"only white space", " \t\r\n", ""},
		{"257 bytes", strings.Repeat("x", 257), ""},
		{"257 bytes of Unicode", strings.Repeat("é", 128) + "x", ""},
		{"100 KB", strings.Repeat("x", 100<<10), ""},
		{"100 KB of white space", strings.Repeat(" ", 100<<10), ""},
		{"newline inside", "a\nb", ""},
		{"carriage return inside", "a\rb", ""},
		{"tab inside", "a\tb", ""},
		{"NUL", "a\x00b", ""},
		{"escape", "a\x1b[31mb", ""},
		{"DEL", "a\x7fb", ""},
		{"C1 control character", "a\u0085b", ""},
		{"line separator", "a\u2028b", ""},
		{"zero-width space", "a\u200bb", ""},
		{"right-to-left override", "a\u202eb", ""},
		{"byte order mark", "\ufeffa", ""},
		{"no-break space inside", "a\u00a0b", ""},
		{"private use", "a\ue000b", ""},
		{"invalid UTF-8", "a\xffb", ""},
		{"half a rune at the end", "abc\xc3", ""},
		{"what stands for a broken character", "abc\ufffd", ""},
		{"surrogate in UTF-8", "a\xed\xa0\x80", ""},

		{"placeholder null", "null", ""},
		{"placeholder undefined", "undefined", ""},
		{"placeholder none", "none", ""},
		{"placeholder nil", "nil", ""},
		{"placeholder new", "new", ""},
		{"placeholder default", "default", ""},
		{"placeholder of JavaScript", "[object Object]", ""},
		{"placeholder of programs that look for an id", "unknown", ""},
		{"placeholder of SageMaker", "NEW_SESSION", ""},
		{"not quite a placeholder", "unknown-1", "unknown-1"},
		{"placeholder in upper case", "NULL", ""},
		{"placeholder of Python", "None", ""},
		{"placeholder in mixed case", "UnDefined", ""},
		{"placeholder and white space", " null\n", ""},
		{"zero", "0", ""},
		{"zeros", "0000", ""},
		{"the zero uuid", "00000000-0000-0000-0000-000000000000", ""},
		{"a template", "{{conversation_id}}", ""},
		{"a template behind a prefix", "chat-{{id}}", ""},
		{"a template of LibreChat", "{{LIBRECHAT_BODY_CONVERSATIONID}}", ""},
		{"half a template", "{{id", ""},
		{"a shell template", "${SESSION_ID}", ""},
		{"a shell template behind a prefix", "chat-${ID}", ""},

		{"a placeholder inside a word is none", "newton", "newton"},
		{"null with something behind", "null-1", "null-1"},
		{"zeros and a one", "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000001"},
		{"a single brace", "{id}", "{id}"},
		{"a dollar", "$id", "$id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, ok := extract.ID(test.in)
			require.Equal(t, test.want != "", ok)
			require.Equal(t, test.want, got)
		})
	}
}

func FuzzID(f *testing.F) {
	for _, s := range []string{"", "a", " chat-1 ", strings.ToUpper(uuid), "null", "{{x}}", "${x}", "a\nb", "\xff", "é", "\u2028", strings.Repeat("x", 257), "0-0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := extract.ID(s)
		if !ok {
			require.Empty(t, id)
			return
		}
		requireID(t, id)
		require.True(t, strings.Contains(strings.ToLower(s), strings.ToLower(id)))
	})
}

// requireID checks the rules for ids that clients send.
func requireID(t *testing.T, id string) {
	t.Helper()
	require.NotEmpty(t, id)
	require.LessOrEqual(t, len(id), 256)
	require.True(t, utf8.ValidString(id))
	for _, r := range id {
		require.True(t, unicode.IsPrint(r), "%q in %q", r, id)
	}
	again, ok := extract.ID(id)
	require.True(t, ok, id)
	require.Equal(t, id, again, "an id is its own id")
}

// Two ids of which JSON holds broken characters only are not the same one.
func TestBrokenIDsDoNotMeet(t *testing.T) {
	t.Parallel()
	for _, id := range []string{`chat-\ud83d`, `chat-\ud83e`, "chat-\xff", "chat-\xfe"} {
		s, ok := extract.Default().Extract(&extract.Request{Body: []byte(`{"session_id":"` + id + `"}`)})
		require.False(t, ok, "%q", s.ID)
	}
}
