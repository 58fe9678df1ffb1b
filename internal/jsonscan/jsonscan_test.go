package jsonscan_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

func TestSkip(t *testing.T) {
	// A string of each, long enough for every place of a word.
	anyByte := `[""`
	for c := range 256 {
		if c != '"' && c != '\\' {
			anyByte += `,"` + strings.Repeat(string([]byte{byte(c)}), 12) + `"`
		}
	}
	anyByte += `]`

	for _, tt := range []struct {
		name string
		data string
		want string // the value; "" if it is malformed
		rest string // what is left behind it
	}{
		{"a string", `"abc"`, `"abc"`, ``},
		{"an empty string", `""`, `""`, ``},
		{"an object", `{"a":1,"b":[true,false,null]}`, `{"a":1,"b":[true,false,null]}`, ``},
		{"an empty object", `{}`, `{}`, ``},
		{"an empty array", `[]`, `[]`, ``},
		{"empty ones in each other", `[{},[],[{}],{"a":{}}]`, `[{},[],[{}],{"a":{}}]`, ``},
		{"true", `true`, `true`, ``},
		{"false", `false`, `false`, ``},
		{"null", `null`, `null`, ``},
		{"zero", `0`, `0`, ``},
		{"minus zero", `-0`, `-0`, ``},
		{"an integer", `1234567890`, `1234567890`, ``},
		{"a fraction", `-0.50`, `-0.50`, ``},
		{"an exponent of every kind", `[1e1,1E1,1e+1,1e-1,1.5e10,0e0]`, `[1e1,1E1,1e+1,1e-1,1.5e10,0e0]`, ``},
		{"white space of every kind around and inside", " \t\r\n[ 1 ,\t{ \"a\"\r:\n2 } ] ", "[ 1 ,\t{ \"a\"\r:\n2 } ]", ` `},
		{"white space in empty brackets", "[ { \n } , [ \t ] ]", "[ { \n } , [ \t ] ]", ``},
		{"brackets and commas in a string", `["],}{:"]`, `["],}{:"]`, ``},
		{"names that are the same", `{"a":1,"a":2}`, `{"a":1,"a":2}`, ``},
		{"names with escapes", `{"\u0061\"":1}`, `{"\u0061\"":1}`, ``},
		{"an empty name", `{"":1}`, `{"":1}`, ``},

		{"a colon among digits", `[12345678:89012345]`, "", ""},
		{"a sign among blanks", "[\n!       ]", "", ""},

		// Only the value itself is read.
		{"a second value behind it", `1 2`, `1`, ` 2`},
		{"a comma behind it", `"a",`, `"a"`, `,`},
		{"a closing bracket behind it", `{}]`, `{}`, `]`},
		{"a digit behind a leading zero", `01`, `0`, `1`},
		{"letters behind a literal", `truely`, `true`, `ly`},

		// The end of a string is found whatever is in it.
		{"an escaped quote", `"a\"b"c`, `"a\"b"`, `c`},
		{"an escaped backslash before the end", `"a\\"b"`, `"a\\"`, `b"`},
		{"three backslashes and a quote", `"\\\""x`, `"\\\""`, `x`},
		{"four backslashes and a quote", `"\\\\"x`, `"\\\\"`, `x`},
		{"quotes and nothing but quotes", `"\"\"\""`, `"\"\"\""`, ``},
		{"a quote behind every number of bytes", `["","1","12","123","1234","12345","123456","1234567","12345678","123456789"]`,
			`["","1","12","123","1234","12345","123456","1234567","12345678","123456789"]`, ``},
		{"an escaped quote across a word", `"123456\"8"`, `"123456\"8"`, ``},
		{"a long string", `"` + strings.Repeat("x", 1000) + `"`, `"` + strings.Repeat("x", 1000) + `"`, ``},
		{"a long string of escapes", `"` + strings.Repeat(`\\`, 1000) + `"`, `"` + strings.Repeat(`\\`, 1000) + `"`, ``},

		// Leniency: what is in a string is the reader's business.
		{"raw control characters in a string", "\"a\nb\x00\"", "\"a\nb\x00\"", ``},
		{"an escape that is none", `"\q\u12"`, `"\q\u12"`, ``},
		{"bad UTF-8", "\"\xff\xc0\"", "\"\xff\xc0\"", ``},
		{"strings of every byte but a quote and a backslash", anyByte, anyByte, ``},

		// Everything else is checked.
		{"nothing", ``, ``, ``},
		{"only white space", " \n", ``, ``},
		{"a string without an end", `"abc`, ``, ``},
		{"a lone quote", `"`, ``, ``},
		{"a string that ends in an escape", `"abc\"`, ``, ``},
		{"a long string without an end", `"` + strings.Repeat("x", 1000), ``, ``},
		{"an object without an end", `{`, ``, ``},
		{"an object without an end in a name", `{"a`, ``, ``},
		{"an object without an end behind a name", `{"a"`, ``, ``},
		{"an object without an end behind a colon", `{"a":`, ``, ``},
		{"an object without an end behind a value", `{"a":1`, ``, ``},
		{"an object without an end behind a comma", `{"a":1,`, ``, ``},
		{"an array without an end", `[`, ``, ``},
		{"an array without an end behind a value", `[1`, ``, ``},
		{"an array without an end behind a comma", `[1,`, ``, ``},
		{"an empty array that ends as an object", `[}`, ``, ``},
		{"an empty object that ends as an array", `{]`, ``, ``},
		{"an array that ends as an object", `[1}`, ``, ``},
		{"an object that ends as an array", `{"a":1]`, ``, ``},
		{"brackets that cross", `[{]}`, ``, ``},
		{"an outer bracket that is closed as the inner", `[{}}`, ``, ``},
		{"a full one that is closed by the wrong bracket", `{"a":[1}`, ``, ``},
		{"a lone closing bracket", `]`, ``, ``},
		{"a comma behind the last element", `[1,]`, ``, ``},
		{"a comma before the first element", `[,1]`, ``, ``},
		{"only a comma in an array", `[,]`, ``, ``},
		{"only a comma in an object", `{,}`, ``, ``},
		{"two commas", `[1,,2]`, ``, ``},
		{"no comma", `[1 2]`, ``, ``},
		{"no comma behind an inner object", `[{} 1]`, ``, ``},
		{"no comma behind an inner array", `{"a":[] "b":1}`, ``, ``},
		{"a comma behind the last member", `{"a":1,}`, ``, ``},
		{"a comma before the first member", `{,"a":1}`, ``, ``},
		{"no comma between members", `{"a":1 "b":2}`, ``, ``},
		{"a colon in an array", `["a":1]`, ``, ``},
		{"no colon in an object", `{"a",1}`, ``, ``},
		{"two colons", `{"a"::1}`, ``, ``},
		{"a name without a value", `{"a":}`, ``, ``},
		{"a name that is a number", `{1:1}`, ``, ``},
		{"a name without quotes", `{a:1}`, ``, ``},
		{"a name without its first quote", `{a":1}`, ``, ``},
		{"a name without its first quote behind a comma", `{"a":1,b":1}`, ``, ``},
		{"a value without a name", `{1}`, ``, ``},
		{"an array without a name", `{[]}`, ``, ``},
		{"a value without a name behind a comma", `{"a":1,1}`, ``, ``},
		{"a literal cut short", `[tru]`, ``, ``},
		{"a literal cut short by the end", `nul`, ``, ``},
		{"a literal in capitals", `True`, ``, ``},
		{"true but for a letter", `trua`, ``, ``},
		{"false but for a letter", `falze`, ``, ``},
		{"null but for a letter", `nurl`, ``, ``},
		{"a literal with more behind it", `[nullx]`, ``, ``},
		{"NaN", `NaN`, ``, ``},
		{"a minus alone", `-`, ``, ``},
		{"a minus before something else", `[-a]`, ``, ``},
		{"a plus", `+1`, ``, ``},
		{"a leading zero", `[01]`, ``, ``},
		{"a leading zero behind a minus", `[-01]`, ``, ``},
		{"a leading point", `.5`, ``, ``},
		{"a trailing point", `1.`, ``, ``},
		{"an exponent without digits", `1e`, ``, ``},
		{"an exponent with nothing but a sign", `1e+`, ``, ``},
		{"an exponent with two signs", `1e+-1`, ``, ``},
		{"a hexadecimal number", `[0x1]`, ``, ``},
		{"single quotes", `'a'`, ``, ``},
		{"a comment", `[/**/]`, ``, ``},
		{"a vertical tab for white space", "[\v1]", ``, ``},
		{"a no-break space for white space", "[\u00a01]", ``, ``},
		{"a zero byte for white space", "[\x001]", ``, ``},
		{"a byte order mark", "\ufeff1", ``, ``},
		{"a character with the low bits of a space", "[\x60 1]", ``, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := slices.Clip([]byte(tt.data)) // whoever reads beyond its end panics
			c := jsonscan.New(data)
			got := c.Skip()
			require.Equal(t, tt.want, string(got))
			require.Equal(t, tt.want != "", c.OK())
			whole := tt.want != "" && strings.TrimSpace(tt.rest) == ""

			// Gone into, it is the same.
			in := jsonscan.New(data)
			require.Equal(t, whole, walk(&in, never, nil))
			require.Equal(t, c.OK(), in.OK())
			if tt.want == "" {
				require.Nil(t, got)
				requireDone(t, &c)
				requireDone(t, &in)
				return
			}
			require.Equal(t, tt.rest, tt.data[c.Pos():])
			require.Equal(t, whole, c.End())
		})
	}
}

// requireDone checks that a Cursor that has failed has nothing more to give.
func requireDone(t *testing.T, c *jsonscan.Cursor) {
	t.Helper()
	pos := c.Pos()
	for range 2 {
		require.False(t, c.OK())
		require.False(t, c.End())
		require.Zero(t, c.Kind())
		require.False(t, c.Object())
		require.False(t, c.Array())
		require.False(t, c.Element())
		name, ok := c.Key()
		require.False(t, ok)
		require.Nil(t, name)
		require.Nil(t, c.Skip())
		require.Nil(t, c.Skim())
		raw, ok := c.String()
		require.False(t, ok)
		require.Nil(t, raw)
		c.Leave(']')
		require.Equal(t, pos, c.Pos())
	}
}

// Whatever two characters stand between tokens, they are read as encoding/json reads them:
// all but white space is a mistake, such as a comment, unless it makes a well-formed text.
func TestSkipBetweenTokens(t *testing.T) {
	tokens := []string{`{`, `"a"`, `:`, `[`, `1`, `,`, `true`, `]`, `}`}
	for at := range len(tokens) + 1 {
		head, tail := strings.Join(tokens[:at], "\n"), "\n"+strings.Join(tokens[at:], "\n")
		for pair := range 1 << 14 {
			data := head + string([]byte{byte(pair >> 7), byte(pair & 127)}) + tail
			c, in := jsonscan.New([]byte(data)), jsonscan.New([]byte(data))
			valid := json.Valid([]byte(data))
			if valid != (c.Skip() != nil && c.End()) || valid != walk(&in, never, nil) {
				t.Fatalf("%q", data)
			}
		}
	}
}

func TestCursorReadsMembersAndElements(t *testing.T) {
	c := jsonscan.New([]byte(` { "a" : [ 1 , "x\n" , { } ] , "b\u0021" : null } `))

	require.EqualValues(t, '{', c.Kind())
	require.False(t, c.Array(), "not an array: the Cursor stays before it")
	require.True(t, c.Object())

	name, ok := c.Key()
	require.True(t, ok)
	require.Equal(t, "a", string(name))
	require.Equal(t, 9, c.Pos(), "right before the value")
	require.EqualValues(t, '[', c.Kind())

	before := c
	require.False(t, c.Object())
	require.True(t, c.Array())

	require.True(t, c.Element())
	require.Equal(t, 11, c.Pos(), "right before the element")
	require.EqualValues(t, '1', c.Kind())
	require.Equal(t, "1", string(c.Skip()))

	require.True(t, c.Element())
	raw, ok := c.String()
	require.True(t, ok)
	require.Equal(t, `x\n`, string(raw), "as it stands between its quotes")

	require.True(t, c.Element())
	require.True(t, c.Object())
	_, ok = c.Key()
	require.False(t, ok)

	require.False(t, c.Element())
	require.True(t, c.OK(), "the end of an array is no failure")

	name, ok = c.Key()
	require.True(t, ok)
	require.Equal(t, "b!", string(jsonscan.Text(name, nil)), "without its escapes")
	raw, ok = c.String()
	require.False(t, ok, "not a string")
	require.Nil(t, raw)
	require.True(t, c.OK(), "and gone past nevertheless")

	_, ok = c.Key()
	require.False(t, ok)
	require.False(t, before.End())
	require.True(t, c.End())
	require.EqualValues(t, 0, c.Kind())

	require.Equal(t, `[ 1 , "x\n" , { } ]`, string(before.Skip()), "a copy comes back to its place")
	require.True(t, before.OK())
}

// A text that ends too soon is a mistake for whoever notices.
func TestEndOfTheText(t *testing.T) {
	for _, text := range []string{``, ` `, `{"a":`, `{"a": `} {
		c := jsonscan.New([]byte(text))
		if c.Object() {
			c.Key()
		}
		raw, ok := c.String()
		require.False(t, ok)
		require.Nil(t, raw)
		requireDone(t, &c)
	}
	c := jsonscan.New([]byte(`[{}, 1`))
	require.True(t, c.Array())
	c.Leave(']')
	require.Equal(t, 1, c.Pos())
	requireDone(t, &c)
}

func TestPast(t *testing.T) {
	t.Parallel()
	c := jsonscan.New([]byte(`[{"a":"b","c":[1],"d":2},{"a":"b"}, {"a":"b","c":{"a":1}}]`))
	require.False(t, c.Past(`{"a":"b"`))
	require.True(t, c.Array() && c.Element())
	for _, text := range []string{`{"a":"x"`, ` {"a":"b"`, `{"a":"b","c":[1],"d":3`, `[`} {
		was := c
		require.False(t, c.Past(text), text)
		require.Equal(t, was, c)
	}

	// Up to before a value, and on from there.
	require.True(t, c.Past(`{"a":"b","c":`))
	require.Equal(t, `[1]`, string(c.Skip()))
	require.False(t, c.Past(`}`))
	name, ok := c.Key()
	require.True(t, ok)
	require.Equal(t, "d", string(name))
	c.Skip()
	require.True(t, c.Past(`}`))

	// Right behind a value.
	require.True(t, c.Element())
	require.True(t, c.Past(`{"a":"b"`))
	_, ok = c.Key()
	require.False(t, ok)

	// White space is nobody's.
	require.True(t, c.Element())
	require.False(t, c.Past(`{"a":"b"`))
	c.Kind()
	require.True(t, c.Past(`{"a":"b"`))
	c.Leave('}')
	require.False(t, c.Element())
	require.True(t, c.End())
	require.False(t, c.Past(`x`))

	// Up to the end.
	c = jsonscan.New([]byte(`{}`))
	require.False(t, c.Past(`{} `))
	require.True(t, c.Past(`{}`))

	// What is behind it is not the first.
	c = jsonscan.New([]byte(`[{} 1]`))
	require.True(t, c.Array() && c.Element() && c.Past(`{}`))
	require.False(t, c.Element())
	require.False(t, c.End())

	// Nor is what is behind an object or an array of which nothing was read.
	for _, leave := range []func(c *jsonscan.Cursor) bool{
		func(c *jsonscan.Cursor) bool { return c.Past(`}`) },
		func(c *jsonscan.Cursor) bool { c.Leave('}'); return c.OK() },
	} {
		c = jsonscan.New([]byte(`[{} 1]`))
		require.True(t, c.Array() && c.Element() && c.Object() && leave(&c))
		require.False(t, c.Element())
		require.False(t, c.OK())
	}

	// Not once reading has failed.
	c = jsonscan.New([]byte(`x{"a":1}`))
	require.Nil(t, c.Skip())
	require.False(t, c.Past(`x`))
}

func TestRest(t *testing.T) {
	t.Parallel()
	c := jsonscan.New([]byte(`{"a":"b", "c":1}`))
	require.True(t, c.Object())
	_, ok := c.Key()
	require.True(t, ok)
	require.Equal(t, `"b", "c":1}`, string(c.Rest()))
	c.Skim()
	rest := jsonscan.New(c.Rest())
	name, ok := rest.Key() // a New may begin before a comma
	require.True(t, ok)
	require.Equal(t, "c", string(name))
	c.Leave('}')
	require.Empty(t, c.Rest())
	require.True(t, c.End())
}

func TestMaxDepth(t *testing.T) {
	bomb := 1_000_000
	if testing.Short() || raceEnabled {
		bomb = 100_000
	}
	for _, k := range []struct{ name, open, inner, closing string }{
		{"arrays", `[`, ``, `]`},
		{"arrays with something in them", `[1,[],`, `1`, `,{}]`},
		{"objects", `{"a":`, `{}`, `}`},
		{"objects in arrays", `[{"a":`, `1`, `}]`},
	} {
		t.Run(k.name, func(t *testing.T) {
			half := jsonscan.MaxDepth / 2
			for _, n := range []int{1, half - 1, half, half + 1, 2*half - 2, 2*half - 1, 2 * half, 2*half + 1, 2*half + 2, bomb} {
				data := []byte(strings.Repeat(k.open, n) + k.inner + strings.Repeat(k.closing, n))
				_, depth := blank(data)
				c := jsonscan.New(data)
				require.Equal(t, depth <= jsonscan.MaxDepth, c.Skip() != nil, "depth %d", depth)

				// Entering brackets one by one has no limit.
				c = jsonscan.New(data)
				require.True(t, walk(&c, never, nil), "depth %d", depth)
			}
		})
	}

	t.Run("the limit counts from the value that is skipped", func(t *testing.T) {
		deep := strings.Repeat("[", jsonscan.MaxDepth) + strings.Repeat("]", jsonscan.MaxDepth)
		c := jsonscan.New([]byte(`{"a":` + deep + `}`))
		require.True(t, c.Object())
		_, ok := c.Key()
		require.True(t, ok)
		require.Equal(t, deep, string(c.Skip()))

		c = jsonscan.New([]byte(`[` + deep + `]`))
		require.Nil(t, c.Skip())
	})

	t.Run("every level remembers what it is", func(t *testing.T) {
		// Object or array by the bits of a number that does not repeat soon.
		var open, closing []byte
		x := uint32(1)
		for range jsonscan.MaxDepth - 1 {
			x ^= x << 13
			x ^= x >> 17
			x ^= x << 5
			if x&1 == 0 {
				open, closing = append(open, '['), append(closing, ']')
			} else {
				open, closing = append(open, `{"k":`...), append(closing, '}')
			}
		}
		for i, j := 0, len(closing)-1; i < j; i, j = i+1, j-1 {
			closing[i], closing[j] = closing[j], closing[i]
		}
		whole := string(open) + "{}" + string(closing)
		c := jsonscan.New([]byte(whole))
		require.Equal(t, whole, string(c.Skip()))
		for i := range closing {
			wrong := []byte(whole)
			at := len(open) + 2 + i
			wrong[at] ^= '[' ^ '{' // ] for } and the other way round
			c := jsonscan.New(wrong)
			require.Nil(t, c.Skip(), "level %d closed by the wrong bracket", len(closing)-i)
		}
	})
}

// Text makes nothing where there is nothing to do, and needs no other room than it was given.
func TestText(t *testing.T) {
	room := make([]byte, 4)
	text := jsonscan.Text([]byte(`a\nb`), room)
	require.Equal(t, "a\nb", string(text))
	require.Same(t, &room[0], &text[0])
	raw := []byte("abcd")
	require.Same(t, &raw[0], &jsonscan.Text(raw, room)[0], "there is nothing to do")
}

func TestAppendText(t *testing.T) {
	for _, tt := range []struct{ name, raw, want string }{
		{"nothing", ``, ``},
		{"no escape", `abc`, `abc`},
		{"every short escape", `\"\\\/\b\f\n\r\t`, "\"\\/\b\f\n\r\t"},
		{"text around escapes", `a\nb\tc`, "a\nb\tc"},
		{"a character of one byte", `\u0041`, `A`},
		{"of two bytes", `\u00e9`, `é`},
		{"of three bytes, in hexadecimal digits of both cases", `\u20aC`, `€`},
		{"of four bytes, as a pair of surrogates", `\ud83d\ude00`, `😀`},
		{"the zero character", `\u0000`, "\x00"},
		{"the last character of two bytes, and the first of three", `\u07ff\u0800`, "\u07ff\u0800"},
		{"raw characters", `日本 é 😀`, `日本 é 😀`},

		{"the first half of a pair alone", `\ud83dx`, "\ufffdx"},
		{"the second half of a pair alone", `\ude00x`, "\ufffdx"},
		{"the halves of a pair in the wrong order", `\ude00\ud83d`, "\ufffd\ufffd"},
		{"two first halves and a second", `\ud83d\ud83d\ude00`, "\ufffd😀"},
		{"half a pair and another character", `\ud83d\u0041`, "\ufffdA"},
		{"half a pair and another escape", `\ud83d\n`, "\ufffd\n"},
		{"half a pair and what is no escape", `\ud83d\ude0`, "\ufffd\\ude0"},
		{"half a pair and a capital U", `\ud83d\Ude00`, "\ufffd\\Ude00"},
		{"half a pair and half without its backslash", `\ud83dxude00`, "\ufffdxude00"},

		{"an escape that is none is taken literally", `\q\x`, `\q\x`},
		{"too few digits", `\u12`, `\u12`},
		{"digits that are none", `\u12G4`, `\u12G4`},
		{"a capital U", `\U0041`, `\U0041`},
		{"behind a wide character, another escape", `\u4e2d\n4e2d`, "中\n4e2d"},
		{"behind a wide character, no backslash", `\u4e2dxu4e2d`, "中xu4e2d"},
		{"behind a wide character, digits that are none", `\u4e2d\u12G4`, `中\u12G4`},
		{"an escaped backslash before a u", `\\u0041`, `\u0041`},
		{"a backslash at the end", `abc\`, `abc\`},
		{"a backslash alone", `\`, `\`},
		{"what is no escape before one", `\u\n`, "\\u\n"},
		{"what is no escape before a text", `\q and a text\n`, "\\q and a text\n"},
		{"bad UTF-8", "a\xff\\n\xc0", "a\xff\n\xc0"},
		{"a raw control character", "a\nb", "a\nb"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, string(jsonscan.AppendText(nil, []byte(tt.raw))))
			require.Equal(t, "before "+tt.want, string(jsonscan.AppendText([]byte("before "), []byte(tt.raw))))
		})
	}
}
