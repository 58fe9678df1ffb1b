package extract_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// bodyIDs are the members of the table in doc.go, in its order, with the source of the
// sessions that they name. Two spellings of a name have one source. (conversation.id has the
// place of conversation, and tests of its own.)
var bodyIDs = func() (ids []struct{ outer, inner, source string }) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		panic(err)
	}
	_, table, _ := strings.Cut(string(text), "//\tBodyIDs()\n")
	table, _, _ = strings.Cut(table, "//\tState()\n")
	var names []string
	for line := range strings.Lines(table) {
		names = append(names, strings.Fields(line)[1])
	}
	for _, name := range names {
		if name == "conversation.id" {
			continue
		}
		outer, inner, _ := strings.Cut(name, ".")
		source := name
		if start, camel := strings.CutSuffix(name, "Id"); camel && slices.Contains(names, start+"_id") {
			source = start + "_id"
		}
		ids = append(ids, struct{ outer, inner, source string }{outer, inner, source})
	}
	return ids
}()

// object returns a JSON object of members, given as name and value by turns.
func object(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, `,%s:%s`, quote(pairs[i]), pairs[i+1])
	}
	if b.Len() == 0 {
		return "{}"
	}
	return "{" + b.String()[1:] + "}"
}

// withIDs returns a body in which the fields of the given rows have the given
// values, in that order, among other members.
func withIDs(rows []int, value func(row int) string) string {
	var outer []string
	inner := map[string][]string{}
	for _, row := range rows {
		f := bodyIDs[row]
		if f.inner == "" {
			outer = append(outer, f.outer, value(row))
			continue
		}
		if inner[f.outer] == nil {
			outer = append(outer, f.outer, "")
		}
		inner[f.outer] = append(inner[f.outer], f.inner, value(row))
	}
	for i := 0; i < len(outer); i += 2 {
		if outer[i+1] == "" {
			outer[i+1] = object(inner[outer[i]]...)
		}
	}
	return object(append([]string{"model", `"m"`}, append(outer, "stream", "true")...)...)
}

// Metadata has names of an application's own choice, in either spelling.
func TestSpellingsOfMetadata(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"conversationId": "metadata.conversation_id", "threadId": "metadata.thread_id", "chatId": "metadata.chat_id",
	} {
		for _, pad := range []int{0, 8 << 10, 24 << 10} {
			body := `{"metadata":{"` + name + `":"a"},"pad":"` + strings.Repeat("x", pad) + `"}`
			requireSession(t, extract.Default(), &extract.Request{Body: []byte(body)}, source, "a")
		}
		body := []byte(`{"metadata":{"` + strings.TrimPrefix(source, "metadata.") + `":"a"}}`)
		_, ok := extract.Body("metadata." + name).Extract(&extract.Request{Body: body})
		require.False(t, ok, "a path is one spelling")
	}
}

func TestBodyIDs(t *testing.T) {
	t.Parallel()
	e := extract.BodyIDs()
	id := func(row int) string { return fmt.Sprintf(`"id-%d"`, row) }

	t.Run("one", func(t *testing.T) {
		t.Parallel()
		for i, f := range bodyIDs {
			requireSession(t, e, &extract.Request{Body: []byte(withIDs([]int{i}, id))}, f.source, fmt.Sprintf("id-%d", i))
		}
	})
	t.Run("two, in both orders", func(t *testing.T) {
		t.Parallel()
		for i := range bodyIDs {
			for j := range bodyIDs[:i] {
				first := fmt.Sprintf("id-%d", j)
				requireSession(t, e, &extract.Request{Body: []byte(withIDs([]int{i, j}, id))}, bodyIDs[j].source, first)
				requireSession(t, e, &extract.Request{Body: []byte(withIDs([]int{j, i}, id))}, bodyIDs[j].source, first)
			}
		}
	})
	t.Run("what is no id is as if absent", func(t *testing.T) {
		t.Parallel()
		for _, bad := range []string{
			`null`, `true`, `false`, `0`, `12`, `-1.5e+3`, `[]`, `["id-1"]`, `{}`, `{"x":"id-1"}`, `""`, `" "`, `"null"`, `"undefined"`, `"{{id}}"`,
			`"${ID}"`, `"0"`, `"a\nb"`, `"a\u0000b"`, quote(strings.Repeat("x", 257)), quote(strings.Repeat("x", 100<<10)),
		} {
			for i := range bodyIDs {
				value := func(row int) string {
					if row == i {
						return bad
					}
					return id(row)
				}
				requireSession(t, e, &extract.Request{Body: []byte(withIDs([]int{i}, value))}, "", "")
				if i+1 < len(bodyIDs) {
					s, _ := e.Extract(&extract.Request{Body: []byte(withIDs([]int{i, i + 1}, value))})
					require.Equal(t, fmt.Sprintf("id-%d", i+1), s.ID, "the next one is asked")
				}
			}
		}
	})
	t.Run("of several members of one name the last counts", func(t *testing.T) {
		t.Parallel()
		for i, f := range bodyIDs {
			body := func(first, last string) *extract.Request {
				if f.inner == "" {
					return &extract.Request{Body: []byte(object(f.outer, first, "a", "1", f.outer, last))}
				}
				return &extract.Request{Body: []byte(object(f.outer, object(f.inner, first, "a", "1", f.inner, last)))}
			}
			requireSession(t, e, body(`"x"`, `"y"`), f.source, "y")
			requireSession(t, e, body(`"x"`, `null`), "", "")
			requireSession(t, e, body(`null`, `"y"`), f.source, "y")
			if f.inner != "" {
				one := object(f.inner, id(i))
				requireSession(t, e, &extract.Request{Body: []byte(object(f.outer, one, f.outer, `{}`))}, "", "")
				requireSession(t, e, &extract.Request{Body: []byte(object(f.outer, one, f.outer, `"x"`))}, "", "")
				requireSession(t, e, &extract.Request{Body: []byte(object(f.outer, `[]`, f.outer, one))}, f.source, fmt.Sprintf("id-%d", i))
			}
		}
	})

	for _, test := range []struct {
		name, body string
		source, id string
	}{
		{"conversation as an object", `{"conversation":{"id":"conv_1"}}`, "conversation", "conv_1"},
		{"conversation as an object without an id", `{"conversation":{"a":"b"}}`, "", ""},
		{"conversation as an object, then as a string", `{"conversation":{"id":"conv_1"},"conversation":"conv_2"}`, "conversation", "conv_2"},
		{"conversation as a string, then as an object", `{"conversation":"conv_2","conversation":{"id":"conv_1"}}`, "conversation", "conv_1"},
		{"an id that a client has not got yet", `{"conversation_id":"","session_id":"s"}`, "session_id", "s"}, // Dify, turn 1
		{"escapes in the value", `{"session_id":"\u0061\/\"\\é"}`, "session_id", `a/"\é`},
		{"escapes in the name", `{"session\u005fid":"s"}`, "session_id", "s"},
		{"a surrogate pair", `{"session_id":"\ud83d\ude00"}`, "session_id", "😀"},
		{"256 escapes", `{"session_id":"` + strings.Repeat(`\u0061`, 256) + `"}`, "session_id", strings.Repeat("a", 256)},
		{"a uuid in upper case", `{"session_id":"` + strings.ToUpper(uuid) + `"}`, "session_id", uuid},
		{"another case of the name", `{"Session_ID":"s"}`, "", ""},
		{"white space everywhere", "\t\r\n { \"session_id\" \n:\t \"s\" } \n", "session_id", "s"},
		{"in the messages only", `{"messages":[{"session_id":"s"}],"a":{"conversation_id":"c"}}`, "", ""},
		{"envelope of Code Assist", `{"model":"m","request":{"contents":[],"session_id":"s"}}`, "request.session_id", "s"},
		{"behind 100 other members", "{" + strings.Repeat(`"a":1,`, 100) + `"session_id":"s"}`, "session_id", "s"},
		{"between members of every type", `{"a":null,"b":[1,{"c":"}"}],"session_id":"s","d":"\"]}","e":-1e-5}`, "session_id", "s"},
		{"deep nesting beside", `{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `,"session_id":"s"}`, "session_id", "s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			requireSession(t, e, &extract.Request{Body: []byte(test.body)}, test.source, test.id)
		})
	}
}

// A mistake in what nobody asks for is one in a body of 4 kB, and not looked for in a longer one.
func TestHowMuchOfABodyIsChecked(t *testing.T) {
	t.Parallel()
	for size, checked := range map[int]bool{4 << 10: true, 4<<10 + 1: false} {
		body := `{"session_id":"s","a":[01],"b":"`
		body += strings.Repeat("x", size-len(body)-len(`"}`)) + `"}`
		_, ok := extract.Default().Extract(&extract.Request{Body: []byte(body)})
		require.Equal(t, !checked, ok, "%d", size)
	}
}

// No part of a body that is not one well-formed object is believed.
func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	const good = `{"session_id":"s","metadata":{"user_id":"u"},"messages":[{"role":"user","content":"hi"}],"n":-1.5e3}`
	bad := map[string]string{
		"empty":                     "",
		"white space":               " \n",
		"a string":                  `"session_id"`,
		"a number":                  "1",
		"null":                      "null",
		"an array":                  `[{"session_id":"s"}]`,
		"byte order mark":           "\ufeff" + good,
		"garbage in front":          "x" + good,
		"garbage behind":            good + "x",
		"a second object behind":    good + good,
		"a comma behind":            good + ",",
		"NUL behind":                good + "\x00",
		"a comma too many":          `{"session_id":"s",}`,
		"a comma in front":          `{,"session_id":"s"}`,
		"no comma":                  `{"session_id":"s" "a":1}`,
		"no colon":                  `{"session_id" "s"}`,
		"no quotes":                 `{session_id:"s"}`,
		"single quotes":             `{'session_id':'s'}`,
		"a comment":                 `{"session_id":"s"/**/}`,
		"NaN":                       `{"session_id":"s","a":NaN}`,
		"a leading zero":            `{"session_id":"s","a":01}`,
		"a plus sign":               `{"session_id":"s","a":+1}`,
		"an empty fraction":         `{"session_id":"s","a":1.}`,
		"True":                      `{"session_id":"s","a":True}`,
		"truex":                     `{"session_id":"s","a":truex}`,
		"wrong bracket":             `{"session_id":"s","a":[1}}`,
		"wrong bracket deeper":      `{"session_id":"s","a":{"b":[{]}]}}`,
		"too deep":                  `{"session_id":"s","a":` + strings.Repeat("[", 1100) + strings.Repeat("]", 1100) + `}`,
		"too deep in objects":       `{"session_id":"s","a":` + strings.Repeat(`{"a":`, 1100) + "1" + strings.Repeat("}", 1100) + `}`,
		"brackets without end":      strings.Repeat("[", 100_000),
		"braces without end":        strings.Repeat(`{"a":`, 100_000),
		"a broken inner object":     `{"metadata":{"user_id":"u","session_id":"s"`,
		"a broken request envelope": `{"request":{"session_id":"s"},"request":{`,
	}
	for i := range good {
		bad[fmt.Sprintf("cut off after %d bytes", i)] = good[:i]
	}
	for name, body := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, e := range []extract.Extractor{extract.Default(), extract.Classic(), extract.Body("session_id", "metadata.user_id", "metadata.*", "..0")} {
				s, ok := e.Extract(&extract.Request{Body: []byte(body)})
				require.False(t, ok, "found %q from %q", s.ID, s.Source)
			}
		})
	}
	requireSession(t, extract.Default(), &extract.Request{Body: []byte(good)}, "session_id", "s")
}

func TestBody(t *testing.T) {
	t.Parallel()
	many := func(members string) string {
		var b strings.Builder
		for i := range 200 {
			fmt.Fprintf(&b, `"m%d":%d,`, i, i)
		}
		return "{" + b.String() + members + "}"
	}
	for _, test := range []struct {
		name  string
		paths []string
		body  string
		path  string // the one that finds it
		id    string
	}{
		{"a member", []string{"chat"}, `{"chat":"c"}`, "chat", "c"},
		{"an inner member", []string{"chat.id"}, `{"chat":{"id":"c"}}`, "chat.id", "c"},
		{"a member far inside", []string{"a.b.c.d"}, `{"a":{"b":{"c":{"d":"c"}}}}`, "a.b.c.d", "c"},
		{"an element", []string{"chat.1"}, `{"chat":["a","c"]}`, "chat.1", "c"},
		{"a member of an element", []string{"chat.1.id"}, `{"chat":[{"id":"a"},{"id":"c"}]}`, "chat.1.id", "c"},
		{"an element of an inner array", []string{"a.chat.0"}, `{"a":{"chat":["c"]}}`, "a.chat.0", "c"},
		{"a number as a name", []string{"1.2"}, `{"1":{"2":"c"}}`, "1.2", "c"},
		{"a wildcard", []string{"ch*"}, `{"a":"b","chat":"c"}`, "ch*", "c"},
		{"a wildcard inside", []string{"chat.i*"}, `{"chat":{"a":"b","id":"c"}}`, "chat.i*", "c"},
		{"a query", []string{`tags.#(name=="chat").id`}, `{"tags":[{"name":"x","id":"a"},{"name":"chat","id":"c"}]}`, `tags.#(name=="chat").id`, "c"},
		{"an escaped dot", []string{`chat\.id`}, `{"chat.id":"c"}`, `chat\.id`, "c"},
		{"an escaped dot inside", []string{`a.chat\.id`}, `{"a":{"chat.id":"c"}}`, `a.chat\.id`, "c"},
		{"a pipe", []string{"chat|id"}, `{"chat":{"id":"c"}}`, "chat|id", "c"},
		{"a modifier", []string{"chat.@reverse.0"}, `{"chat":["a","c"]}`, "chat.@reverse.0", "c"},
		{"a number as a string", []string{"chat.@tostr"}, `{"chat":48213}`, "chat.@tostr", "48213"},
		{"no number as a string", []string{"chat.@tostr"}, `{"chat":0}`, "", ""},
		{"escapes in the value", []string{"chat"}, `{"chat":"\u0063"}`, "chat", "c"},
		{"escapes in the value of an inner member", []string{"chat.*"}, `{"chat":{"id":"\u0063"}}`, "chat.*", "c"},
		{"first path", []string{"a", "b"}, `{"b":"2","a":"1"}`, "a", "1"},
		{"second path", []string{"a", "b"}, `{"b":"2"}`, "b", "2"},
		{"first path is no id", []string{"a", "b"}, `{"a":"null","b":"2"}`, "b", "2"},
		{"first path is of another type", []string{"a", "b"}, `{"a":12,"b":"2"}`, "b", "2"},
		{"a member that the table knows", []string{"metadata.user_id"}, `{"metadata":{"user_id":"u"}}`, "metadata.user_id", "u"},
		{"duplicate key: the last one", []string{"chat"}, `{"chat":"a","chat":"c"}`, "chat", "c"},
		{"duplicate inner key: the last one", []string{"chat.id"}, `{"chat":{"id":"a","id":"c"}}`, "chat.id", "c"},
		{"duplicate outer key: the last one", []string{"chat.id"}, `{"chat":{"id":"a"},"chat":{"id":"c"}}`, "chat.id", "c"},
		{"duplicate outer key: the last one has none", []string{"chat.id"}, `{"chat":{"id":"a"},"chat":{}}`, "", ""},
		{"duplicate keys: the last one, then the first", []string{"chat.@this.id"}, `{"chat":{},"chat":{"id":"c","id":"a"}}`, "chat.@this.id", "c"},
		{"duplicate keys: the last one, then the first in an array", []string{"chat.0.id"}, `{"chat":[],"chat":[{"id":"c","id":"a"}]}`, "chat.0.id", "c"},
		{"escapes in names", []string{"chat", "talk"}, `{"t\u0061lk":"t","ch\u0061t":"c","n\u0061me":1}`, "chat", "c"},
		{"escapes in names, the first of two", []string{"talk", "chat"}, `{"t\u0061lk":"t","ch\u0061t":"c","n\u0061me":1}`, "talk", "t"},
		{"escapes in an inner name", []string{"chat.id"}, `{"chat":{"i\u0064":"c"}}`, "chat.id", "c"},
		{"200 members", []string{"chat", "m7"}, many(`"chat":"c"`), "chat", "c"},
		{"200 members, an inner one", []string{"chat.id"}, many(`"chat":{"id":"c"}`), "chat.id", "c"},
		{"200 members, a duplicate key", []string{"chat"}, many(`"chat":"a","chat":"c"`), "chat", "c"},
		{"200 members and none of it", []string{"chat"}, many(`"a":"c"`), "", ""},
		{"64 members", []string{"m63"}, "{" + sixtyFour() + "}", "m63", "c"},

		{"absent", []string{"chat"}, `{"a":"c"}`, "", ""},
		{"absent inside", []string{"chat.id"}, `{"chat":{}}`, "", ""},
		{"inside a string", []string{"chat.id", "chat.0"}, `{"chat":"[\"c\"]"}`, "", ""},
		{"inside null", []string{"chat.id"}, `{"chat":null}`, "", ""},
		{"an object", []string{"chat"}, `{"chat":{"id":"c"}}`, "", ""},
		{"an array", []string{"chat"}, `{"chat":["c"]}`, "", ""},
		{"a number", []string{"chat"}, `{"chat":12}`, "", ""},
		{"true", []string{"chat"}, `{"chat":true}`, "", ""},
		{"null", []string{"chat"}, `{"chat":null}`, "", ""},
		{"not an object", []string{"0", "@this", "#"}, `["c"]`, "", ""},
		{"no paths", nil, `{"chat":"c"}`, "", ""},
		{"the empty path", []string{""}, `{"":"c"}`, "", ""},
		{"odd paths", []string{".", "..", "..0", "a..b", "a.", ".a", "@", "#", "|", "*", "?", "!", "{", "[", `\`, "a.@x", "a.#(", `a.#(b==`}, `{"a":{"b":1}}`, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			source := ""
			if test.path != "" {
				source = "body:" + test.path
			}
			requireSession(t, extract.Body(test.paths...), &extract.Request{Body: []byte(test.body)}, source, test.id)
		})
	}
}

func sixtyFour() string {
	var members []string
	for i := range 63 {
		members = append(members, fmt.Sprintf(`"m%d":1`, i))
	}
	return strings.Join(append(members, `"m63":"c"`), ",")
}

// A member is found wherever it is among others, and with whatever white space and escapes.
func TestMembersHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	other := `"x":{"chat":"a"}`
	for _, name := range []string{"c", "chat"} {
		extractor := extract.Chain{extract.Body("none"), extract.Body(name)}
		for _, member := range []string{`"` + name + `":"c"`, `"\u0063` + name[1:] + `": "c"`, `"` + name + `" :"c"`} {
			for _, comma := range []string{",", ", ", " ,", ",\n\t", " , "} {
				for _, members := range [][]string{{member}, {member, other}, {other, member}, {other, member, other}, {`"":1`, member, `"":2`}} {
					body := "{" + strings.Join(members, comma) + "}"
					for _, body := range []string{body, strings.Replace(body, "{", "{ ", 1)} {
						s, ok := extractor.Extract(&extract.Request{Body: []byte(body)})
						require.True(t, ok, body)
						require.Equal(t, "c", s.ID, body)
					}
				}
			}
		}
	}
}

// A large body costs no more memory than a small one, or a copy of one text.
func TestMemoryOfLargeBodies(t *testing.T) {
	long(t)
	for _, test := range []struct {
		name, start, middle, end string
		copied                   bool // once
	}{
		{"one text", `{"messages":[{"role":"user","content":"`, `all work and no play `, `"}],"session_id":"s"}`, false},
		{"many messages", `{"messages":[{}`, `,{"role":"user","content":"hi"}`, `],"session_id":"s"}`, false},
		{"many members", `{"a":1`, `,"b":2`, `,"session_id":"s"}`, false},
		{"escapes", `{"a":"`, `\"\u0041`, `","session_id":"s"}`, false},
		{"no id", `{"messages":[{"role":"user","content":"`, `all work and no play\n`, `"}]}`, false},
		{"no id and many texts", `{"messages":[{}`, `,{"role":"user","content":"` + strings.Repeat("a", 400) + `"}`, `]}`, false},
		{"no id and escapes in an answer", `{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"`, `\u0041`, `"}]}`, false},
		{"no id and escapes in a text", `{"messages":[{"role":"user","content":"`, `\u00e9\/`, `"}]}`, true},
		{"no id and a legacy prompt", `{"prompt":"`, `all work and no play\n`, `"}`, true},
		{"broken off", `{"session_id":"s","a":[`, `[],`, ``, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			size := 10 << 20
			if test.name == "one text" {
				size = 100 << 20
			}
			body := make([]byte, 0, size+1<<10)
			body = append(body, test.start...)
			body = append(body, bytes.Repeat([]byte(test.middle), (size-len(body))/len(test.middle))...)
			body = append(body, test.end...)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s, ok := extract.Default().Extract(&extract.Request{Body: body})
			runtime.ReadMemStats(&after)
			require.Equal(t, test.end != "", ok)
			if strings.Contains(test.end, "session_id") {
				require.Equal(t, "s", s.ID)
			}
			limit := uint64(1 << 20)
			if test.copied {
				limit += uint64(size)
			}
			require.Less(t, after.TotalAlloc-before.TotalAlloc, limit)
		})
	}
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `[]`, `{"session_id":"s"}`, `{"conversation":{"id":"c"}}`, `{"metadata":{"user_id":"u"},"metadata":{}}`,
		`{"metadata":{"user_id":"user_ab_account__session_` + uuid + `"}}`, `{"session_id":"a","session_id":1}`, `{"session\u005fid":"\ud800"}`,
		`{"previous_response_id":"resp_1"}`, `{"thread":{"type":"continue","previous_message_id":"m"}}`, `{"prompt":["a","b"]}`, `{"prompt":"a: b\n\n c"}`,
		`{"messages":[{"role":"user","content":"<system-reminder>a</system-reminder> b"}],"system":"x-anthropic-billing-header: a\nb /c/d"}`,
		`{"messages":[{"role":"system","content":"At 9:05\n\nHistory:"},{"role":"user","content":"<system-reminder>/a/b</system-reminder>"},
			{"role":"user","content":["c","d, and so on\n\ne\nf: g"]}]}`,
		`{"contents":{"parts":{"text":"a"}},"system_instruction":"b","systemInstruction":{"parts":[{"text":"c"}]}}`,
		`{"request":{"contents":[{"parts":[{"inlineData":{}}]}],"sessionId":"-1"}}`, `{"input":[{"type":"image"},"a",[],null,1]}`,
		`{"messages":[{"role":"user","content":"a"}`, `{"a":tru}`, "{\"session_id\":\"\xff\"}", "\ufeff{}",
	} {
		f.Add([]byte(s))
	}
	for _, b := range seeds(f) {
		f.Add(b)
	}
	query := extract.Body("metadata.user_id", "metadata.*", "messages.#(role==\"user\").content", "a.0.b", "..0")
	f.Fuzz(func(t *testing.T, body []byte) {
		padded := append(append([]byte(" \n\t"), body...), "\r\n "...)
		for _, e := range []extract.Extractor{extract.Default(), extract.Classic(), query, extract.Trail()} {
			r := &extract.Request{Body: body}
			s, ok := e.Extract(r)
			requireValid(t, s, ok)
			again, ok2 := e.Extract(r)
			require.Equal(t, ok, ok2)
			require.Equal(t, s, again)
			same, ok3 := e.Extract(&extract.Request{Body: padded})
			require.Equal(t, ok, ok3)
			require.Equal(t, s, same)
		}
	})
}

// requireValid checks what holds for all sessions.
func requireValid(t *testing.T, s extract.Session, ok bool) {
	t.Helper()
	if !ok {
		require.Zero(t, s)
		return
	}
	require.NotEmpty(t, s.Source)
	if s.Source != "trail" {
		requireID(t, s.ID)
		return
	}
	require.Equal(t, extract.Derived, s.Confidence)
	seen := map[string]bool{}
	for _, ids := range [][]string{{s.ID}, s.Aliases, s.Continues, s.Near} {
		for _, id := range ids {
			require.Len(t, id, 16)
		}
	}
	for _, id := range append([]string{s.ID}, s.Aliases...) {
		require.False(t, seen[id], "stored twice")
		seen[id] = true
	}
	require.LessOrEqual(t, len(s.Aliases), 15) // as TestTrailWithTheMostKeys, and a call
	require.LessOrEqual(t, len(s.Continues)+len(s.Near), 64)
	require.NotContains(t, s.Continues, s.ID)
}

// TestKeysOfNoConversation has prompt_cache_keys that are known to be of something else.
func TestKeysOfNoConversation(t *testing.T) {
	t.Parallel()
	for key, ok := range map[string]bool{
		"librechat:v1:0a1b2c":                             false, // of a prompt
		"agents-sdk:run:0f3cdc324238464e98df6ba3e9377c6e": false, // of a single turn
		"anna@ECA":                  false, // of a person
		"anna@ECA/code":             false, // and an agent
		"anna@ECA/my/agent":         false,
		"anna@ECAD":                 true,
		"anna@example.com/code@ECA": true,
		"agents-sdk:session:0f3cdc324238464e98df6ba3e9377c6e": true,
		"0f3cdc32-4238-464e-98df-6ba3e9377c6e":                true,
	} {
		s, found := extract.BodyIDs().Extract(&extract.Request{Body: []byte(`{"prompt_cache_key":"` + key + `"}`)})
		require.Equal(t, ok, found, key)
		if ok {
			require.Equal(t, key, s.ID)
		}
		requireSession(t, extract.BodyIDs(), &extract.Request{Body: []byte(`{"session_id":"` + key + `"}`)}, "session_id", key)
	}
}
