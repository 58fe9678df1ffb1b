package extract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
	"github.com/go-affinity/affinity/internal/corpus"
)

func boundariesOf(body string) []extract.Boundary {
	return (&extract.Request{Body: []byte(body)}).Boundaries()
}

// end is the last boundary of a body, which must have one.
func end(t testing.TB, body string) extract.Boundary {
	t.Helper()
	b := boundariesOf(body)
	require.NotEmpty(t, b, "%.300s", body)
	return b[len(b)-1]
}

// requireBoundaries checks what holds for all.
func requireBoundaries(t testing.TB, b []extract.Boundary, body []byte) {
	t.Helper()
	last, close := 0, 0
	for i, at := range b {
		require.LessOrEqual(t, at.Bytes, len(body))
		if at.Bytes-last < 4<<10 {
			close++
		}
		require.True(t, at.Bytes > last || i == 0)
		last = at.Bytes
	}
	require.LessOrEqual(t, close, 2+16, "behind tools and system, and the last messages")
	require.LessOrEqual(t, len(b), 1024)
}

// sharedBy returns how many of the earlier boundaries the later request has.
func sharedBy(later, earlier []extract.Boundary) int {
	has := map[extract.Boundary]bool{}
	for _, b := range later {
		has[b] = true
	}
	n := 0
	for _, b := range earlier {
		if has[b] {
			n++
		}
	}
	return n
}

// In every wire format each turn has the boundaries of the turn before, all but
// the one that was only its end, and goes on behind them.
func TestBoundariesOverWireFormats(t *testing.T) {
	t.Parallel()
	long := func(s string) string { return strings.Repeat(s+" words and more, ", 300) } // 5 kB
	for _, f := range wireFormats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			at := func(talk talk) []extract.Boundary {
				body := style{}.json(f.render(talk, style{}))
				b := (&extract.Request{Body: body}).Boundaries()
				requireBoundaries(t, b, body)
				return b
			}
			now := talk{long("system"), []said{user(long("first"))}}
			before := at(now)
			require.Len(t, before, 2, "behind the system prompt and at the end")
			for i, more := range [][]said{
				{call(long("a")), result(long("A"))},
				{model(long("x")), user(long("second"))},
				{model(long("y")), user(long("third"))},
			} {
				now = now.with(more...)
				after := at(now)
				require.Equal(t, len(before)+2, len(after), "turn %d", i+2)
				require.Equal(t, before, after[:len(before)])
				before = after
			}

			// From where two prompts part, they have nothing in common.
			for i, change := range []func(*talk){
				func(t *talk) { t.system += "!" },
				func(t *talk) { t.said[0].texts = []string{t.said[0].texts[0] + "!"} },
				func(t *talk) { t.said[1].texts = []string{t.said[1].texts[0] + "!"} },
				func(t *talk) { t.said[2].texts = []string{t.said[2].texts[0] + "!"} },
				func(t *talk) { t.said[3].texts = []string{t.said[3].texts[0] + "!"} },
				func(t *talk) { t.said[4].texts = []string{t.said[4].texts[0] + "!"} },
			} {
				other := talk{now.system, append([]said(nil), now.said...)}
				change(&other)
				b := at(other)
				require.Equal(t, len(before), len(b))
				require.Equal(t, i, sharedBy(b, before), "what is before message %d", i)
				require.Equal(t, before[:i], b[:i])
			}
			if f.images {
				one, two := now.with(look("iVBOR1", "x")), now.with(look("iVBOR2", "x"))
				require.NotEqual(t, at(one), at(two))
				require.Equal(t, len(before), sharedBy(at(one), before))
			}
		})
	}
}

// The end of a prompt, however small, is among the boundaries of the next.
func TestBoundariesOfSmallPrompts(t *testing.T) {
	t.Parallel()
	for _, f := range wireFormats {
		one := talk{"s", []said{user("hi")}}
		b := (&extract.Request{Body: style{}.json(f.render(one, style{}))}).Boundaries()
		require.Len(t, b, 2, "%s: behind the system prompt, and at the end", f.name)
		next := (&extract.Request{Body: style{}.json(f.render(one.with(model("x"), user("on")), style{}))}).Boundaries()
		require.Len(t, next, 4, f.name)
		require.Equal(t, b, next[:2], f.name)
	}
}

// promptOf is what a body of the corpus has as its prompt: tools and system
// prompt, and then the messages, read the plain way.
func promptOf(t testing.TB, body []byte) (parts []string) {
	t.Helper()
	var members map[string]any
	require.NoError(t, json.Unmarshal(body, &members))
	var strip func(v any) any
	strip = func(v any) any {
		switch v := v.(type) {
		case []any:
			for i := range v {
				v[i] = strip(v[i])
			}
		case map[string]any:
			delete(v, "cache_control")
			for name := range v {
				v[name] = strip(v[name])
			}
		}
		return v
	}
	text := func(v any) any { // of a content that is nothing else
		if blocks, ok := v.([]any); ok && len(blocks) == 1 {
			if block, ok := blocks[0].(map[string]any); ok && len(block) == 2 && strings.HasSuffix(fmt.Sprint(block["type"]), "text") {
				return block["text"]
			}
		}
		return v
	}
	add := func(v ...any) {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		parts = append(parts, string(b))
	}
	add(strip(members["tools"]), strip(members["system"]), strip(members["systemInstruction"]), strip(members["instructions"]))
	for _, name := range []string{"messages", "contents", "input"} {
		messages, _ := members[name].([]any)
		for _, m := range messages {
			message := strip(m).(map[string]any)
			delete(message, "id")
			delete(message, "status")
			message["content"] = text(message["content"])
			add(message)
		}
	}
	return parts
}

// What real clients send: a request has a boundary of an earlier one of its
// conversation if and only if all before it is the same. That is so for all
// boundaries of the earlier one, unless the client has changed its prompt.
func TestBoundariesOfTheCorpus(t *testing.T) {
	long(t)
	t.Parallel()
	latest := map[string]corpus.Request{}
	turns, changed := 0, map[string]int{}
	for _, r := range corpus.Clients() {
		b := (&extract.Request{Body: r.Body}).Boundaries()
		requireBoundaries(t, b, r.Body)
		require.Greater(t, b[len(b)-1].Bytes, len(r.Body)/2, "most of it is prompt")

		// A sub-agent and a title call have prompts of their own.
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(r.Body, &members))
		line := r.Session + fmt.Sprint(r.Header["X-Claude-Code-Agent-Id"], members["tools"] == nil)
		earlier, ok := latest[line]
		latest[line] = r
		if !ok {
			continue
		}
		turns++
		before, now := promptOf(t, earlier.Body), promptOf(t, r.Body)
		require.Greater(t, len(now), len(before))
		common := 0
		for common < len(before) && before[common] == now[common] {
			common++
		}
		if common < len(before) {
			changed[r.Client]++
		}
		for n := 1; n < len(before); n++ { // the prompt up to n messages
			one, other := end(t, firstMessages(t, earlier.Body, n)), end(t, firstMessages(t, r.Body, n))
			require.Equal(t, n < common, one == other, "%s/%d and /%d, %d messages", r.Session, earlier.Seq, r.Seq, n)
		}
		if all := (&extract.Request{Body: earlier.Body}).Boundaries(); common == len(before) {
			all = all[:len(all)-1] // the last is its end only
			require.Equal(t, all, b[:len(all)])
		} else if common == 0 {
			require.Zero(t, sharedBy(b, all))
		}
	}
	require.Equal(t, 38, turns)
	require.Equal(t, map[string]int{"claude": 3}, changed)
}

// firstMessages returns a body with the first n of its messages.
func firstMessages(t testing.TB, body []byte, n int) string {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(body, &members))
	for _, name := range []string{"messages", "contents", "input"} {
		var list []json.RawMessage
		if members[name] != nil {
			require.NoError(t, json.Unmarshal(members[name], &list))
			members[name] = append(append([]byte("["), bytes.Join(raws(list[:n]), []byte(","))...), ']')
		}
	}
	b, err := json.Marshal(members)
	require.NoError(t, err)
	return string(b)
}

func raws(messages []json.RawMessage) [][]byte {
	var out [][]byte
	for _, m := range messages {
		out = append(out, m)
	}
	return out
}

// What may come and go without changing the prompt.
func TestBoundariesLeaveOutWhatIsNoPrompt(t *testing.T) {
	t.Parallel()
	const marker = `"cache_control":{"type":"ephemeral"}`
	for _, test := range []struct{ name, plain, other string }{
		{"a marker behind the text", chat(ub(text_("a"), text_("b"))), chat(ub(`{"type":"text","text":"a",`+marker+`}`, text_("b")))},
		{"a marker in front, as Go writes it", chat(ub(text_("a"), text_("b"))), chat(ub(`{`+marker+`,"type":"text","text":"a"}`, text_("b")))},
		{"a marker in the middle", chat(ub(text_("a"), text_("b"))), chat(ub(`{"type":"text",`+marker+`,"text":"a"}`, text_("b")))},
		{"white space as Python writes it", chat(ub(`{"type": "text", "text": "a"}`, text_("b"))),
			chat(ub(`{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}`, text_("b")))},
		{"white space, in front", chat(ub(`{"type": "text", "text": "a"}`, text_("b"))),
			chat(ub(`{"cache_control": {"type": "ephemeral"}, "type": "text", "text": "a"}`, text_("b")))},
		{"white space on lines of their own", chat(ub("{\n  \"type\": \"text\",\n  \"text\": \"a\"\n}", text_("b"))),
			chat(ub("{\n  \"type\": \"text\",\n  \"cache_control\": {\n    \"type\": \"ephemeral\"\n  },\n  \"text\": \"a\"\n}", text_("b")))},
		{"two markers in a row", chat(ub(text_("a"), text_("b"))), chat(ub(`{`+marker+`,"cachePoint":{},"type":"text","text":"a","cache_point":1,`+marker+`}`, text_("b")))},
		{"a marker on a message", chat(u("a")), chat(`{"role":"user","content":"a",` + marker + `}`)},
		{"a marker on a result", chat(ub(`{"type":"tool_result","tool_use_id":"t","content":"x"}`)), chat(ub(`{"type":"tool_result","tool_use_id":"t","content":"x",` + marker + `}`))},
		{"a marker inside a result", chat(ub(`{"type":"tool_result","content":[{"type":"text","text":"x"}]}`)),
			chat(ub(`{"type":"tool_result","content":[{"type":"text","text":"x",` + marker + `}]}`))},
		{"a marker inside a text that is a list, first", chat(ub(`{"text":["a"]}`, text_("b"))), chat(ub(`{"text":["a",{`+marker+`}]}`, text_("b")))},
		{"a marker inside a text that is a list, later", chat(u("a"), ub(`{"text":["a"]}`, text_("b"))), chat(u("a"), ub(`{"text":["a",{`+marker+`}]}`, text_("b")))},
		{"a marker inside a lone text that is a list", chat(ub(`{"text":["a"]}`)), chat(ub(`{"text":["a",{` + marker + `}]}`))},
		{"a marker on a tool", `{"tools":[{"name":"a"},{"name":"b"}],` + claude(`"s"`, u("a"))[1:], `{"tools":[{"name":"a"},{"name":"b",` + marker + `}],` + claude(`"s"`, u("a"))[1:]},
		{"a marker on the system prompt", claude(`[{"type":"text","text":"s"},{"type":"text","text":"t"}]`, u("a")), claude(`[{"type":"text","text":"s"},{"type":"text","text":"t",`+marker+`}]`, u("a"))},
		{"markers inside more results than may be in one another", chat(ub(strings.Repeat(`{"content":[{"a":1}]},`, 9) + `1`)),
			chat(ub(strings.Repeat(`{"content":[{"a":1,`+marker+`}]},`, 9) + `1`))},
		{"a marker on a content that is a block", chat(`{"role":"user","content":{"text":"a"}}`), chat(`{"role":"user","content":{"text":"a",` + marker + `}}`)},
		{"a marker beside what is like a billing line", chat(ub(`{"y":{"text":"x-anthropic-billing-header: 1\nb"}}`)), chat(ub(`{"y":{"text":"x-anthropic-billing-header: 1\nb",` + marker + `}}`))},
		{"a marker beside what is like the block of a billing line", chat(ub(`{"y":[` + text_("x-anthropic-billing-header: 1") + `]}`)),
			chat(ub(`{"y":[` + text_("x-anthropic-billing-header: 1") + `,{` + marker + `}]}`))},
		{"OpenAI's marker on an image", chat(ub(`{"type":"input_image","image_url":"x"}`)), chat(ub(`{"type":"input_image","image_url":"x","prompt_cache_breakpoint":{"mode":"explicit"}}`))},
		{"OpenAI's marker inside a result, and another one", responses(`{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"x"},{"a":1}]}`),
			responses(`{"type":"function_call_output","call_id":"c","output":[{"type":"input_text","text":"x","prompt_cache_breakpoint":{"mode":"explicit"}},{"a":1,` + marker + `}]}`)},
		{"a cachePoint behind", chat(ub(`{"text":"a"}`, `{"text":"b"}`)), chat(ub(`{"text":"a"}`, `{"text":"b"}`, `{"cachePoint":{"type":"default"}}`))},
		{"a cachePoint in front and between", chat(ub(`{"text":"a"}`, `{"text":"b"}`)), chat(ub(`{"cachePoint":{}}`, `{"text":"a"}`, `{"cachePoint":{}}`, `{"text":"b"}`))},
		{"a cachePoint in front, behind white space", chat(ub("\n    "+`{"text":"a","b":1}`, `{"text":"b"}`)), chat(ub("\n    "+`{"cachePoint":{}}, {"text":"a","b":1}`, `{"text":"b"}`))},
		{"a cachePoint behind the tools", `{"toolConfig":{"tools":[{"toolSpec":{"name":"a"}}]},` + chat(u("a"))[1:], `{"toolConfig":{"tools":[{"toolSpec":{"name":"a"}},{"cachePoint":{"type":"default"}}]},` + chat(u("a"))[1:]},
		{"white space of all kinds", chat(ub("{\r\n\t \"type\":\"text\",\r\n\t \"text\":\"a\"}", text_("b"))),
			chat(ub("{\r\n\t "+marker+",\r\n\t \"type\":\"text\",\r\n\t \"text\":\"a\"}", text_("b")))},
		{"white space, in front of all", chat("{ \"role\":\"user\",\"content\":\"a\"}"), chat("{ " + marker + ", \"role\":\"user\",\"content\":\"a\"}")},
		{"on lines of their own, in front of all", chat(ub("{\n  \"type\": \"text\",\n  \"text\": \"a\"\n}", text_("b"))),
			chat(ub("{\n  \"cache_control\": {},\n  \"type\": \"text\",\n  \"text\": \"a\"\n}", text_("b")))},
		{"a cachePoint behind one text", chat(ub(`{"text":"a"}`)), chat(ub(`{"text":"a"}`, `{"cachePoint":{"type":"default"}}`))},
		{"cachePoints around one text", chat(u("a")), chat(ub(`{"cachePoint":{}}`, `{"text":"a"}`, `{"cachePoint":{}}`))},
		{"a cachePoint behind the system prompt", claude(`"s"`, u("a")), claude(`[{"text":"s"},{"cachePoint":{}}]`, u("a"))},
		{"a text as a block", chat(u("a")), chat(ub(text_("a")))},
		{"a text as a block with a marker", chat(u("a")), chat(ub(`{"type":"text","text":"a",` + marker + `}`))},
		{"a text as a block with a marker in front", chat(u("a")), chat(ub(`{` + marker + `, "text":"a", "type":"text"}`))},
		{"an answer as a block", chat(u("a"), a("b"), u("c")), chat(u("a"), `{"role":"assistant","content":[{"type":"text","text":"b"}]}`, u("c"))},
		{"an input_text", responses(u("a")), responses(ub(`{"type":"input_text","text":"a"}`))},
		{"an output_text", responses(u("a"), a("b")), responses(u("a"), `{"role":"assistant","content":[{"type":"output_text","text":"b"}]}`)},
		{"the system prompt as a block", claude(`"s"`, u("a")), claude(`[{"type":"text","text":"s",`+marker+`}]`, u("a"))},
		{"the id of an item", responses(`{"type":"message","role":"user","content":"a"}`), responses(`{"type":"message","id":"msg_1","role":"user","content":"a"}`)},
		{"the state of an item", responses(`{"type":"function_call","call_id":"c","name":"n"}`), responses(`{"type":"function_call","call_id":"c","name":"n","status":"completed","id":"fc_1"}`)},
		{"the billing line of a block", claude(`[`+text_("x-anthropic-billing-header: cch=1;")+`,`+text_("s")+`]`, u("a")), claude(`[`+text_("x-anthropic-billing-header: cch=234;")+`,`+text_("s")+`]`, u("a"))},
		{"the block of the billing line", claude(`[`+text_("s")+`,`+text_("t")+`]`, u("a")), claude(`[`+text_("x-anthropic-billing-header: cch=1;")+`,`+text_("s")+`,`+text_("t")+`]`, u("a"))},
		{"the block of the billing line, and another", claude(`"s"`, u("a")), claude(`[`+text_("x-anthropic-billing-header: cch=1;\n")+`,`+text_("s")+`]`, u("a"))},
		{"the billing line of a text", claude(quote("s"), u("a")), claude(quote("x-anthropic-billing-header: cch=1;\n\ns"), u("a"))},
		{"the billing line of a text that ends in white space", claude(quote("s \n"), u("a")), claude(quote("x-anthropic-billing-header: cch=1;\ns \n"), u("a"))},
		{"the billing line of a lone block", claude(quote("s"), u("a")), claude(`[`+text_("x-anthropic-billing-header: cch=1;\ns")+`]`, u("a"))},
		{"the billing line of one of two blocks", claude(`[`+text_("s")+`,`+text_("t")+`]`, u("a")), claude(`[`+text_("x-anthropic-billing-header: cch=1;\ns")+`,`+text_("t")+`]`, u("a"))},
		{"the billing line with a backslash in it", claude(quote("s"), u("a")), claude(quote(`x-anthropic-billing-header: cwd=C:\new;`+"\ns"), u("a"))},
		{"the billing line of the first message", chat(sys("s"), u("a")), chat(sys("x-anthropic-billing-header: cch=1;\ns"), u("a"))},
		{"the order of members of the body", claude(`"s"`, u("a")), `{"messages":[` + u("a") + `],"system":"s"}`},
		{"other members of the body", chat(u("a")), `{"model":"m","stream":true,"metadata":{"user_id":"x"},"temperature":1,` + chat(u("a"))[1:]},
		{"white space between messages", chat(u("a"), u("b")), `{"messages" : [ ` + u("a") + " ,\n" + u("b") + ` ] }`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.True(t, json.Valid([]byte(test.plain)), test.plain)
			require.True(t, json.Valid([]byte(test.other)), test.other)
			require.Equal(t, end(t, test.plain), end(t, test.other))
		})
	}
}

// What makes another prompt.
func TestBoundariesTakeInThePrompt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, one, other string }{
		{"a block like that of the billing line, later", chat(u("a"), ub(text_("b"))), chat(u("a"), ub(text_("x-anthropic-billing-header: cch=1;"), text_("b")))},
		{"an empty block", claude(`[`+text_("s")+`,`+text_("t")+`]`, u("a")), claude(`[`+text_("")+`,`+text_("s")+`,`+text_("t")+`]`, u("a"))},
		{"an empty object", chat(ub(text_("a"), text_("b"))), chat(ub(text_("a"), `{}`, text_("b")))},
		{"white space in front of a text", chat(u("a")), chat(u(" a"))},
		{"a member that is one text", chat(`{"role":"user","x":"a"}`), chat(`{"role":"user","x":[` + text_("a") + `]}`)},
		{"a result as a block", chat(ub(`{"type":"tool_result","content":"a"}`)), chat(ub(`{"type":"tool_result","content":[` + text_("a") + `]}`))},
		{"a text that is a number", chat(ub(`{"text":1}`)), chat(ub(`{"text":2}`))},
		{"what is like a billing line and no text", chat(ub(`{"y":"x-anthropic-billing-header: 1\nb"}`)), chat(ub(`{"y":"x-anthropic-billing-header: 2\nb"}`))},
		{"a marker too deep to be looked for", chat(ub(strings.Repeat(`[`, 9) + `{"cachePoint":1,"a":1}` + strings.Repeat(`]`, 9))), chat(ub(strings.Repeat(`[`, 9) + `{"a":1}` + strings.Repeat(`]`, 9)))},
		{"the system prompt", claude(`"s"`, u("a")), claude(`"t"`, u("a"))},
		{"no system prompt", claude(`"s"`, u("a")), chat(u("a"))},
		{"tools", `{"tools":[{"name":"a"}],` + chat(u("a"))[1:], `{"tools":[{"name":"b"}],` + chat(u("a"))[1:]},
		{"functions, as tools were before", `{"functions":[{"name":"a"}],` + chat(u("a"))[1:], `{"functions":[{"name":"b"}],` + chat(u("a"))[1:]},
		{"tools of Code Assist", `{"request":{"tools":[1],"contents":[1]}}`, `{"request":{"tools":[2],"contents":[1]}}`},
		{"no tools", `{"tools":[{"name":"a"}],` + chat(u("a"))[1:], chat(u("a"))},
		{"a tool and a system prompt", `{"tools":"a","messages":["b"]}`, `{"system":"a","messages":["b"]}`},
		{"a system prompt and a message", `{"system":"a","messages":["b"]}`, `{"messages":["a","b"]}`},
		{"what Gemini has cached", cached("1", "a"), cached("2", "a")},
		{"what a template is filled in with", template("Oslo", u("a")), template("Bergen", u("a"))},
		{"a role", chat(u("a")), chat(a("a"))},
		{"an answer", chat(u("a"), a("b"), u("c")), chat(u("a"), a("d"), u("c"))},
		{"a call", chat(u("a"), `{"role":"assistant","tool_calls":[1]}`), chat(u("a"), `{"role":"assistant","tool_calls":[2]}`)},
		{"a result", chat(u("a"), `{"role":"tool","content":"1"}`), chat(u("a"), `{"role":"tool","content":"2"}`)},
		{"the id of a call", chat(ub(`{"type":"tool_use","id":"1"}`)), chat(ub(`{"type":"tool_use","id":"2"}`))},
		{"thinking", chat(u("a"), `{"role":"assistant","content":[{"type":"thinking","thinking":"1"}]}`), chat(u("a"), `{"role":"assistant","content":[{"type":"thinking","thinking":"2"}]}`)},
		{"the border of two messages", chat(u("a"), u("b")), chat(`{"role":"user","content":"a"},{"role":"user","content":"b","x":1}`)},
		{"two numbers and one", `{"messages":[1,2]}`, `{"messages":[12]}`},
		{"two blocks and one", chat(ub(text_("a"), text_("b"))), chat(ub(text_("ab")))},
		{"a text and an image", chat(ub(text_("a"))), chat(ub(`{"type":"image","text":"a"}`))},
		{"a text with more", chat(ub(text_("a"))), chat(ub(`{"type":"text","text":"a","citations":[]}`))},
		{"a text that says cache_control", chat(u(`{"cache_control":1}`)), chat(u(`{}`))},
		{"the billing line in a later message", chat(u("a"), u("x-anthropic-billing-header: 1\nb")), chat(u("a"), u("x-anthropic-billing-header: 2\nb"))},
		{"what stands behind a billing line whose end is written in another way", claude(`"x-anthropic-billing-header: cch=1;\u000aYou are A."`, u("a")), claude(`"x-anthropic-billing-header: cch=1;\u000AYou are B."`, u("a"))},
		{"an image without a block", chat(ub(`{"type":"image","data":"a"}`)), chat(ub(`{"type":"image","data":"b"}`))},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.True(t, json.Valid([]byte(test.one)), test.one)
			require.True(t, json.Valid([]byte(test.other)), test.other)
			require.NotEqual(t, end(t, test.one).Hash, end(t, test.other).Hash)
		})
	}
}

func TestNoBoundaries(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `{}`, `[]`, `{"messages":[]}`, `{"messages":null}`, `{"messages":1}`, `{"contents":[],"input":true}`, `{"system":"s","tools":[1]}`, `{"prompt":"a"}`,
		`{"messages":["a"]`, `{"messages":["a"]}}`, `{"input":"a","previous_response_id":"resp_1"}`,
		`{"messages":[1` + strings.Repeat(",1", 1<<16) + `]}`,
	} {
		require.Nil(t, boundariesOf(body), "%.100s", body)
	}
	for _, body := range []string{
		`{"messages":["a"]}`, `{"messages":"a"}`, `{"messages":{"content":"a"}}`, `{"messages":[],"input":"a"}`, `{"messages":[null]}`,
		`{"messages":true,"input":"a","padding":"` + strings.Repeat("x", wholly) + `"}`,
		`{"messages":[1` + strings.Repeat(",1", 1<<16-1) + `]}`,
	} {
		require.NotNil(t, boundariesOf(body), "%.100s", body)
	}
}

// A body that breaks off, wherever, or goes on as it should not has no boundaries, and
// is no reason to panic.
func TestBoundariesOfBrokenBodies(t *testing.T) {
	long(t)
	t.Parallel()
	const marker = `"cache_control":{"type":"ephemeral"}`
	body := `{"system":[` + text_(`x-anthropic-billing-header: cch=1;\ns`) + `,{"type":"text","text":"t",` + marker + `}],"tools":[{"name":"a",` + marker + `}],` +
		chat(ub(`{"type":"text","text":"a","y":{`+marker+`}}`, `{"cachePoint":{}}`, `"b"`), u("x-anthropic-billing-header: cch=1;"))[1:]
	require.NotEmpty(t, boundariesOf(body))
	for i := range len(body) {
		for _, rest := range []string{"", ",", ":", `"`, "}", "]", "]}", "}]}"} {
			broken := body[:i] + rest
			if json.Valid([]byte(broken)) {
				continue
			}
			for _, blank := range []string{"", strings.Repeat(" ", wholly)} { // which makes it a large one
				require.Nil(t, boundariesOf(broken+blank), "%.400q", broken)
			}
		}
	}
}

// Too many messages are no reason to overlook what stands behind them.
func TestIDBehindTooManyMessages(t *testing.T) {
	t.Parallel()
	r := &extract.Request{Body: []byte(`{"messages":[1` + strings.Repeat(",1", 1<<16+1000) + `],"conversation_id":"c"}`)}
	require.Nil(t, r.Boundaries())
	requireSession(t, extract.BodyIDs(), r, "conversation_id", "c")
}

// But for the last messages, boundaries are at least 4 kB apart, so many
// messages share one; there are no more than 1,024, and the last is always the
// end.
func TestBoundariesAreFew(t *testing.T) {
	long(t)
	t.Parallel()
	hundred := u(strings.Repeat("x", 100-len(u(""))))
	require.Len(t, hundred, 100)
	messages := func(n int) string {
		return chat(strings.Split(strings.TrimSuffix(strings.Repeat(hundred+"|", n), "|"), "|")...)
	}
	for _, n := range []int{1, 15, 16, 17, 40, 41, 42, 56, 57, 58, 1000, 50_000} {
		var want []int
		for at := 4100; at <= 100*n && len(want) < 1008; at += 4100 {
			want = append(want, at)
		}
		for k := max(n-16, 0) + 1; k <= n; k++ {
			want = append(want, 100*k)
		}
		slices.Sort(want)
		want = slices.Compact(want)
		var got []int
		all := boundariesOf(messages(n))
		for _, at := range all {
			got = append(got, at.Bytes)
		}
		require.Equal(t, want, got, "%d messages", n)
		longer := boundariesOf(messages(n + 2))
		require.Contains(t, longer, all[len(all)-1], "the next turn has the end of this one")
	}
	require.Len(t, boundariesOf(messages(50_000)), 1024)
}

// Boundaries reads the messages of a large body in passing, unless somebody has read the
// body before. How far it looks for what to cut out is the same either way, whatever
// stands in front of the messages.
func TestBoundariesLookAsFarInABodyThatWasRead(t *testing.T) {
	long(t)
	t.Parallel()
	const blocks = 40_000 // at which it looks thrice: more than it may
	body := []byte(`{"padding":"` + strings.Repeat("x", 4<<20) + `","messages":[{"role":"user","content":["a"` +
		strings.Repeat(`,{"cachePoint":{}},{"a":1}`, blocks) + `]}]}`)
	unread, read := &extract.Request{Body: body}, &extract.Request{Body: body}
	read.Class()
	require.Equal(t, read.Boundaries(), unread.Boundaries())
	require.Equal(t, boundariesOf(string(bytes.Replace(body, []byte("xx"), nil, 1<<20))), unread.Boundaries())
}

func TestBoundariesAreWorkedOutOnce(t *testing.T) {
	r := &extract.Request{Body: agentBody(32<<10, "")}
	first := r.Boundaries()
	require.NotEmpty(t, first)
	require.Zero(t, testing.AllocsPerRun(10, func() {
		if &r.Boundaries()[0] != &first[0] {
			t.Error("worked out again")
		}
	}))
}

// FuzzBoundaries: a body with a message more has the same boundaries up to
// there, but for what is not among the last 16 any more; markers of caches and
// the order of members change nothing, and every other change of a message does.
func FuzzBoundaries(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b, uint64(1))
	}
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"cachePoint":{}},{"text":"a"},{"cache_control":1}]},"b",[{"cache_control":1}],{"id":1}]}`), uint64(7))
	f.Add([]byte(`{"system":[{"type":"text","text":" x-anthropic-billing-header: a\nb "}],"messages":{"content":"x-anthropic-billing-header:"}}`), uint64(7))
	for _, n := range []int{15, 16, 300} {
		f.Add([]byte(`{"messages":[0`+strings.Repeat(",0", n-1)+`]}`), uint64(7))
	}
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		r := &extract.Request{Body: body}
		b := r.Boundaries()
		requireBoundaries(t, b, body)
		var members map[string]json.RawMessage
		if b == nil || json.Unmarshal(body, &members) != nil || !unambiguous(body) {
			t.Skip("no messages, or not what everybody reads alike")
		}
		compact := func(members map[string]json.RawMessage) []byte {
			var o obj
			for name, value := range members {
				o = append(o, member{name, raw(value)})
			}
			return style{rand.New(rand.NewPCG(seed, 1))}.json(o)
		}
		require.Equal(t, b, (&extract.Request{Body: compact(members)}).Boundaries(), "another order")

		name := "messages"
		var list []json.RawMessage
		if json.Unmarshal(members[name], &list) != nil || len(list) == 0 {
			t.Skip("other forms")
		}
		list = append(list, json.RawMessage(`{"role":"user","content":"on"}`))
		members[name] = append(append([]byte("["), bytes.Join(raws(list), []byte(","))...), ']')
		longer := (&extract.Request{Body: compact(members)}).Boundaries()
		lost := 0
		if len(b) >= 16 {
			lost = 1 // behind a message that is not among the last 16 any more
		}
		require.GreaterOrEqual(t, sharedBy(longer, b[:len(b)-1]), len(b)-1-lost)
		require.LessOrEqual(t, len(longer), len(b)+1, "one is new")
		require.Equal(t, b[len(b)-1].Bytes+len(list[len(list)-1]), longer[len(longer)-1].Bytes)

		marked := json.RawMessage(`{"cache_control":{"type":"ephemeral"},"role":"user","content":[{"type":"text","text":"on","cache_control":{}}]}`)
		list[len(list)-1] = marked
		members[name] = append(append([]byte("["), bytes.Join(raws(list), []byte(","))...), ']')
		require.Equal(t, longer, (&extract.Request{Body: compact(members)}).Boundaries(), "with a marker")

		list[len(list)-1] = json.RawMessage(`{"role":"user","content":"off"}`)
		members[name] = append(append([]byte("["), bytes.Join(raws(list), []byte(","))...), ']')
		other := (&extract.Request{Body: compact(members)}).Boundaries()
		require.NotEqual(t, longer[len(longer)-1].Hash, other[len(other)-1].Hash)
	})
}

// unambiguous reports whether all readers of JSON agree on what a body says.
func unambiguous(body []byte) bool {
	_, ok := reencode(body)
	return ok
}

func BenchmarkBoundaries(b *testing.B) {
	for _, size := range []int{32 << 10, 256 << 10, 2 << 20} {
		b.Run(fmt.Sprintf("body=%dkB", size>>10), func(b *testing.B) {
			body := agentBody(size, "")
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if (&extract.Request{Body: body}).Boundaries() == nil {
					b.Fatal("none")
				}
			}
		})
	}
}
