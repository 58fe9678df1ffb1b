package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// walk reads the next value of c to the end of the text and reports whether all
// was well. skip is asked at each value whether to skip it or to go into it.
// visit, if any, is told of everything that was read: the first byte of a
// value, its closing bracket, or k with the name of a member.
func walk(c *jsonscan.Cursor, skip func() bool, visit func(what byte, text []byte)) bool {
	tell := func(what byte, text []byte) {
		if visit != nil && c.OK() {
			visit(what, text)
		}
	}
	var open []byte
	for {
		kind := c.Kind()
		switch skipped := skip(); {
		case !skipped && c.Object():
			open = append(open, '}')
			tell('{', nil)
		case !skipped && c.Array():
			open = append(open, ']')
			tell('[', nil)
		case !skipped && kind == '"':
			raw, ok := c.String()
			if ok != c.OK() {
				panic("a string that is not one")
			}
			tell(kind, raw)
		default:
			tell(kind, c.Skip())
		}
		more := false
		for len(open) > 0 && !more {
			if closing := open[len(open)-1]; closing == '}' {
				var name []byte
				if name, more = c.Key(); more {
					tell('k', jsonscan.Text(name, nil))
				}
			} else {
				more = c.Element()
			}
			if !more {
				tell(open[len(open)-1], nil)
				open = open[:len(open)-1]
			}
		}
		if !more {
			return c.End()
		}
	}
}

func never() bool { return false }

// blank returns data with an x for each byte inside a string: what is left is
// the structure that a Cursor checks. Where a string ends is found the plain
// way, a byte at a time. depth is how deep the brackets nest if they match.
func blank(data []byte) (structure []byte, depth int) {
	structure = bytes.Clone(data)
	inside, level := false, 0
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inside && c == '"', !inside && c == '"':
			inside = !inside
		case inside:
			structure[i] = 'x'
			if c == '\\' && i+1 < len(data) {
				i++
				structure[i] = 'x'
			}
		case c == '{' || c == '[':
			level++
			depth = max(depth, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return structure, depth
}

// plainText is AppendText, written plainly and apart from it.
func plainText(raw []byte) string {
	var units []rune // of text; bytes that are no UTF-8 as -1-b
	hex := func(i int) (rune, bool) {
		if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
			return 0, false
		}
		for _, c := range raw[i+2 : i+6] {
			if !bytes.ContainsRune([]byte("0123456789abcdefABCDEF"), rune(c)) {
				return 0, false
			}
		}
		n, err := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
		return rune(n), err == nil
	}
	literal := func(b ...byte) {
		for _, c := range b {
			units = append(units, -1-rune(c))
		}
	}
	short := map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
	for i := 0; i < len(raw); {
		r, isHex := hex(i)
		switch {
		case isHex && 0xd800 <= r && r < 0xdc00:
			if low, ok := hex(i + 6); ok && 0xdc00 <= low && low < 0xe000 {
				units = append(units, 0x10000+(r-0xd800)<<10+(low-0xdc00))
				i += 12
				continue
			}
			fallthrough
		case isHex:
			units = append(units, r) // half a pair becomes U+FFFD when encoded
			i += 6
		case raw[i] == '\\' && i+1 < len(raw):
			if c, ok := short[raw[i+1]]; ok {
				literal(c)
			} else {
				literal(raw[i], raw[i+1])
			}
			i += 2
		default:
			literal(raw[i])
			i++
		}
	}
	var b []byte
	for _, u := range units {
		if u < 0 {
			b = append(b, byte(-1-u))
		} else {
			b = utf8.AppendRune(b, u)
		}
	}
	return string(b)
}

// runes is what encoding/json makes of a text: each byte that is no UTF-8
// becomes U+FFFD.
func runes(s string) string { return string([]rune(s)) }

// maxJSONDepth is how deep encoding/json goes.
const maxJSONDepth = 10000

// FuzzSkip holds the Cursor against encoding/json. A text is accepted if and
// only if encoding/json takes it as valid once every byte inside a string is
// replaced by an x, and it nests no deeper than MaxDepth where it is skipped.
// So all that is valid and not too deep is accepted, and what is accepted and
// not valid is wrong only inside a string.
func FuzzSkip(f *testing.F) {
	for _, s := range []string{
		``, ` `, `{}`, `[]`, `"`, `""`, `1`, `-1.5e+7`, `01`, `tru`, `true `, `{"a":[1,{"b":null}],"c":"d"}`, `[1,]`, `{"a":1,}`, `[}`,
		`"\"\\\u00e9\ud83d\ude00"`, "\"\n\"", `"\q"`, "\"\xff\"", `["12345678\"","1234567\"","123456\\"]`, ` { "a" : 1 } 2`, `{"\u0061":"\n"}`,
		`[[[[]],[]],{"":{"":{}}}]`, `{"a" 1}`, `{a":1}`, `{1}`, `trua`, `"éééééééééééééééééééé"`, `[1 2]`, "[\v]", `{"a":"0123456789012345678901234567890123456789\"0123456789"}`,
	} {
		f.Add([]byte(s), uint64(0x5555))
	}
	f.Add(agentBody(2000), uint64(0xf0f1))
	f.Add(nested(100, jsonscan.MaxDepth), uint64(0))
	f.Add(nested(100, jsonscan.MaxDepth+1), uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, choices uint64) {
		was := bytes.Clone(data)
		structure, depth := blank(data)
		if depth > maxJSONDepth {
			c := jsonscan.New(data)
			require.False(t, c.Skip() != nil && c.End())
			return
		}
		valid := json.Valid(structure)
		if json.Valid(data) {
			require.True(t, valid, "blank leaves valid texts valid")
		}

		// Skipped as one.
		c := jsonscan.New(data)
		value := c.Skip()
		end := c.Pos()
		require.Equal(t, valid && depth <= jsonscan.MaxDepth, value != nil && c.End())
		require.Equal(t, value != nil, c.OK())
		if value != nil {
			// One value, and nothing around it, also where more follows.
			inner, _ := blank(value)
			require.True(t, json.Valid(inner))
			require.Equal(t, bytes.TrimLeft(data[:end], " \t\r\n"), value)
		}

		// Gone into, everywhere.
		type event struct {
			what byte
			pos  int
		}
		var events, plain []event
		var names, texts []string
		c = jsonscan.New(data)
		require.Equal(t, valid, walk(&c, never, func(what byte, text []byte) {
			events = append(events, event{what, c.Pos()})
			switch what {
			case 'k':
				names = append(names, string(text))
			case '"':
				texts = append(texts, string(jsonscan.AppendText(nil, text)))
			}
		}))

		// What is inside a string changes nothing about what is read.
		s := jsonscan.New(structure)
		require.Equal(t, valid, walk(&s, never, func(what byte, _ []byte) { plain = append(plain, event{what, s.Pos()}) }))
		require.Equal(t, plain, events)

		// Gone into here and there.
		if depth <= jsonscan.MaxDepth {
			c = jsonscan.New(data)
			require.Equal(t, valid, walk(&c, func() bool {
				skip := choices&1 != 0
				choices = choices>>1 | choices<<63
				return skip
			}, nil))
		}

		if json.Valid(data) {
			requireTokens(t, data, names, texts)
		}
		require.Equal(t, was, data, "the text is only read")
	})
}

// requireTokens checks that names and texts are those that encoding/json reads,
// in order, in data, which is valid.
func requireTokens(t *testing.T, data []byte, names, texts []string) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	type level struct{ object, name bool } // name: a name is next
	var levels []level
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		top := len(levels) - 1
		switch v := token.(type) {
		case json.Delim:
			if v == '}' || v == ']' {
				levels = levels[:top]
				top--
				break
			}
			levels = append(levels, level{v == '{', v == '{'})
			continue
		case string:
			if top >= 0 && levels[top].name {
				require.NotEmpty(t, names)
				require.Equal(t, v, runes(names[0]))
				names = names[1:]
				levels[top].name = false
				continue
			}
			require.NotEmpty(t, texts)
			require.Equal(t, v, runes(texts[0]))
			texts = texts[1:]
		}
		if top >= 0 {
			levels[top].name = levels[top].object
		}
	}
	require.Empty(t, names)
	require.Empty(t, texts)
}

// FuzzText holds AppendText against encoding/json, and, for what is no valid
// string, against one that is written plainly; and AppendPlain to changing nothing but how
// the text is written, the first time.
func FuzzText(f *testing.F) {
	for _, s := range []string{
		``, `abc`, `\"\\\/\b\f\n\r\t`, `\u0041\u00e9\u20ac`, `\ud83d\ude00`, `\ud83d`, `\ude00\ud83d`, `\ud83d\ud83d\ude00`, `\q`, `\u12`, `\`, `\\u0041`,
		"\xff\\n", `\ud83d\u0041`, `\ud83d\ude0`, `é😀`, `\u\u0041`, `\ud83d\\ude00`, `\u003ca href=\"\/\"\u003e\u0000\u000A`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		was := bytes.Clone(raw)
		got := string(jsonscan.AppendText(nil, raw))
		require.Equal(t, plainText(raw), got)
		require.LessOrEqual(t, len(got), len(raw))

		var want string
		if quoted := `"` + string(raw) + `"`; json.Unmarshal([]byte(quoted), &want) == nil {
			require.Equal(t, want, runes(got))
		}

		plain := jsonscan.AppendPlain(nil, raw)
		require.LessOrEqual(t, len(plain), len(raw))
		require.Equal(t, got, string(jsonscan.AppendText(nil, plain)))
		require.Equal(t, string(plain), string(jsonscan.AppendPlain(nil, plain)))

		require.Equal(t, was, raw, "the text is only read")
	})
}
