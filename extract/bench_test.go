package extract_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// source is that of this package, by lines.
var source = func() (lines []string) {
	for _, name := range []string{"trail.go", "injected.go", "index.go", "boundary.go", "header.go", "state.go", "request.go", "claude.go", "doc.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			panic(err)
		}
		lines = append(lines, strings.SplitAfter(string(text), "\n")...)
	}
	return lines
}()

// agentBody returns a body of about that size, like those of coding agents:
// prose, calls of tools and their results, most of it code, the ids at the end.
func agentBody(size int, end string) []byte {
	random := rand.New(rand.NewPCG(1, uint64(size)))
	code := func(most int) string {
		from := random.IntN(len(source) - most)
		return quote(strings.Join(source[from:from+1+random.IntN(most)], ""))
	}
	var b strings.Builder
	b.WriteString(`{"model":"m","max_tokens":64000,"stream":true,"system":[{"type":"text","text":"x-anthropic-billing-header: cch=00000;"},{"type":"text","text":` +
		quote(strings.Repeat("You are a coding agent. Be brief, and say what you do before you do it.\n", min(size/400, 150))+"cwd: /home/anna/proj") + `}],"messages":[{"role":"user","content":[{"type":"text","text":` +
		quote(reminder("be nice in /home/anna/proj")) + `},{"type":"text","text":"Where is Oslo?"}]}`)
	for i := 0; b.Len() < size-400; i++ {
		most := min(200, size/200)
		fmt.Fprintf(&b, `,{"role":"assistant","content":[{"type":"text","text":"I will read file %d."},{"type":"tool_use","id":"toolu_%d","name":"Read","input":{"path":"/home/anna/proj/%d.go"}}]}`, i, i, i)
		fmt.Fprintf(&b, `,{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_%d","content":[{"type":"text","text":%s}]}]}`, i, code(most))
		if i%4 == 3 {
			fmt.Fprintf(&b, `,{"role":"assistant","content":"Done."},{"role":"user","content":"Now the next one, number %d, please."}`, i)
		}
	}
	b.WriteString(`]` + end + `}`)
	return []byte(b.String())
}

func BenchmarkDefault(b *testing.B) {
	common := func(pairs ...string) http.Header {
		return header(append(pairs, "Accept", "*/*", "Accept-Encoding", "gzip", "Anthropic-Version", "2023-06-01", "Authorization", "Bearer x",
			"Content-Type", "application/json", "User-Agent", "x/1", "X-App", "cli", "X-Stainless-Lang", "js", "X-Stainless-Retry-Count", "0")...)
	}
	for _, signal := range []struct {
		name   string
		header http.Header
		end    string
	}{
		{"header", common("X-Session-Id", uuid), ``},
		{"claude-header", common("X-Claude-Code-Session-Id", uuid), `,"metadata":{"user_id":` + quote(`{"session_id":"`+uuid+`"}`) + `}`},
		{"claude-user-id", common(), `,"metadata":{"user_id":"user_` + device + `_account__session_` + uuid + `"}`},
		{"body-id", common(), `,"conversation_id":"` + uuid + `"`},
		{"body-id-among-others", common(), `,"prompt_cache_key":"` + uuid + `"`},
		{"trail", common(), ``},
	} {
		if signal.name == "header" { // Claude Code's protocol is looked into first
			signal.header.Del("Anthropic-Version")
		}
		for _, size := range []struct {
			name string
			n    int
		}{{"2kB", 2 << 10}, {"32kB", 32 << 10}, {"256kB", 256 << 10}, {"2MB", 2 << 20}} {
			b.Run("signal="+signal.name+"/body="+size.name, func(b *testing.B) {
				body := agentBody(size.n, signal.end)
				chain := extract.Default()
				b.SetBytes(int64(len(body)))
				r := new(extract.Request)
				b.ReportAllocs()
				for b.Loop() {
					// Made anew, since it keeps what it has read, but in one place: what the
					// caller allocates is not to be counted.
					*r = extract.Request{Header: signal.header, Body: body}
					if _, ok := chain.Extract(r); !ok {
						b.Fatal("no session")
					}
				}
			})
		}
	}
}

// The class of first requests, which is asked for before a session is bound. System prompts of
// applications hold many of the words that side calls are told by.
func BenchmarkClass(b *testing.B) {
	const agent = "You are an interactive agent that helps users with software engineering tasks. Use the instructions below and the tools available to you to assist the user."
	for _, bm := range []struct{ name, prompt, more string }{
		{"none", "Be kind.", ""},
		{"agent", agent, ""},
		{"agent with tools", agent, `,"tools":[{"type":"function","function":{"name":"find","parameters":{}}}]`},
		{"shop", "You are the friendly assistant of a shop for bicycles. Answer the questions of customers about orders, sizes and repairs. If a question is about a refund, ask for the number of the order; the conversation may be in English or in German.", ""},
	} {
		body := []byte(`{"model":"m","messages":[` + sys(bm.prompt) + `,` + u("How do I find a file of which I know only half of the name? It should be below my home directory, I think.") + `]` + bm.more + `}`)
		b.Run("prompt="+bm.name, func(b *testing.B) {
			req := new(extract.Request)
			b.ReportAllocs()
			for b.Loop() {
				*req = extract.Request{Body: body}
				if req.Class() != extract.Turn {
					b.Fatal("not a turn")
				}
			}
		})
	}
}

// BenchmarkTrailOfOneText reads one text of a person that opens or ends as something does that
// clients inject.
func BenchmarkTrailOfOneText(b *testing.B) {
	words := strings.Repeat("all work and no play\n", 5000)
	for _, text := range []string{words, "<" + words, "[" + words, words + "}", words + ">", words + "]"} {
		b.Run("opens="+text[:1]+"/ends="+strings.TrimSpace(text[len(text)-2:]), func(b *testing.B) {
			body := []byte(`{"messages":[{"role":"user","content":` + quote(text) + `}]}`)
			trail := extract.Trail()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, ok := trail.Extract(&extract.Request{Body: body}); !ok {
					b.Fatal("no session")
				}
			}
		})
	}
}

// hostile are bodies built to hurt, of about n bytes each.
var hostile = []struct {
	name string
	body func(n int) string
}{
	{"numbers-as-messages", repeated(`{"messages":[1`, `,1`, `]}`)},
	{"empty-messages", repeated(`{"messages":[{}`, `,{}`, `]}`)},
	{"empty-strings-as-messages", repeated(`{"messages":[""`, `,""`, `]}`)},
	{"short-messages", repeated(`{"messages":[{}`, `,{"role":"user","content":"a"}`, `]}`)},
	{"short-blocks", repeated(`{"messages":[{"role":"user","content":["a"`, `,"a"`, `]}]}`)},
	{"messages-without-text", repeated(`{"messages":[{}`, `,{"role":"user","content":[{"type":"tool_result"}]}`, `]}`)},
	{"nested-arrays", func(n int) string {
		return `{"messages":[` + strings.Repeat(strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+",", n/2000) + `[]]}`
	}},
	{"arrays-without-end", func(n int) string { return `{"messages":` + strings.Repeat("[", n) }},
	{"nested-images", func(n int) string {
		one := `{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`
		return `{"messages":[{"role":"user","content":[` + strings.Repeat(one+",", n/len(one)) + `"a"]}]}`
	}},
	{"parts-in-parts", func(n int) string {
		const depth = 500
		return `{"contents":[{"role":"user","parts":` + strings.Repeat(`[{"parts":`, depth) + `[` + strings.Repeat(`{"x":[]},`, (n-13*depth-100)/9) + `{}]` + strings.Repeat(`}]`, depth) + `}]}`
	}},
	{"image-of-numbers", repeated(`{"messages":[{"role":"user","content":[{"a":[1`, `,1`, `]}]}]}`)},
	{"image-of-members", repeated(`{"messages":[{"role":"user","content":[{"a":1`, `,"a":1`, `}]}]}`)},
	{"image-of-addresses", repeated(`{"messages":[{"role":"user","content":[{"a":["http`, `","http?sig=&sv=`+strings.Repeat("&a", 500), `"]}]}]}`)},
	{"image-with-an-address", repeated(`{"messages":[{"role":"user","content":[{"a":"http?`, `sig&token&`, `"}]}]}`)},
	{"image-of-short-addresses", repeated(`{"messages":[{"role":"user","content":[{"a":["http`, `","http?a&sig&sv=&a`, `"]}]}]}`)},
	{"members", repeated(`{"a":1`, `,"a":1`, `,"messages":["a"]}`)},
	{"escaped-members", repeated(`{"a":1`, `,"\u0061":1`, `,"messages":["a"]}`)},
	{"metadata-again-and-again", repeated(`{"a":1`, `,"metadata":{"user_id":"u"}`, `,"messages":["a"],"metadata":{}}`)},
	{"ids-that-are-none", repeated(`{"a":1`, `,"sessionId":""`, `,"messages":["a"]}`)},
	{"placeholders-as-ids", repeated(`{"a":1`, `,"sessionId":"null"`, `,"messages":["a"]}`)},
	{"roles-twice", repeated(`{"messages":["a"`, `,{"role":"user","role":"user","content":"a"}`, `]}`)},
	{"roles-last", repeated(`{"messages":["a"`, `,{"content":"a","role":"user"}`, `]}`)},
	{"system-messages", repeated(`{"messages":["a"`, `,{"role":"system","content":"a"}`, `]}`)},
	{"system-messages-behind-an-answer", repeated(`{"messages":["a",{"role":"assistant"}`, `,{"role":"system","content":"\u0061"}`, `]}`)},
	{"answers-in-front", repeated(`{"messages":[{}`, `,{"role":"assistant","content":[{"text":"a"},{"text":"a"}]}`, `,"a"]}`)},
	{"a-greeting-of-texts", repeated(`{"messages":[{"role":"assistant","content":[{}`, `,{"text":"\u0061"}`, `]},"a"]}`)},
	{"messages-again-and-again", repeated(`{"a":1`, `,"messages":["a"]`, `}`)},
	{"escaped-quotes", repeated(`{"messages":["`, `\"`, `a"]}`)},
	{"escaped-quotes-in-system", repeated(`{"system":"`, `\"`, `","messages":["a"]}`)},
	{"backslashes", repeated(`{"messages":["`, `\\`, `a"]}`)},
	{"newlines", repeated(`{"messages":["`, `\n`, `a"]}`)},
	{"spaces-around", repeated(`{"messages":["a`, ` \n`, `"]}`)},
	{"unicode-escapes", repeated(`{"messages":["`, `\u4e2d`, `a"]}`)},
	{"control-escapes", repeated(`{"messages":["`, `\u0001`, `a"]}`)},
	{"surrogates", repeated(`{"messages":["`, `\ud83d\ude00`, `a"]}`)},
	{"half-surrogates", repeated(`{"messages":["`, `\ud83d`, `a"]}`)},
	{"escapes-that-are-none", repeated(`{"messages":["`, `\u`, `a"]}`)},
	{"slashes", repeated(`{"system":"`, `/`, `","messages":["a"]}`)},
	{"short-and-long-escapes", repeated(`{"messages":["`, `\n\/`, `a"]}`)},
	{"escaped-backslashes-and-letters", repeated(`{"messages":["`, `\\u`, `a"]}`)},
	{"escaped-slashes", repeated(`{"system":"`, `\/`, `","messages":["a"]}`)},
	{"commands", repeated(`{"system":"`, ` /a`, `","messages":["a"]}`)},
	{"paths", repeated(`{"system":"`, ` /a/b`, `","messages":["a"]}`)},
	{"one-path", repeated(`{"system":" `, `/a`, `","messages":["a"]}`)},
	{"brackets", repeated(`{"messages":["`, `<`, `a"]}`)},
	{"reminders", repeated(`{"messages":["`, `<system-reminder></system-reminder>`, `a"]}`)},
	{"reminders-behind", repeated(`{"messages":["a`, `<system-reminder></system-reminder>`, `"]}`)},
	{"reminders-without-end", repeated(`{"messages":["`, `<system-reminder>`, `a"]}`)},
	{"reminders-without-end-in-messages", repeated(`{"messages":["a"`, `,"<system-reminder>"`, `]}`)},
	{"ends-of-reminders", repeated(`{"messages":["a`, `</system-reminder>`, `"]}`)},
	{"reminder-that-ends-late", repeated(`{"messages":["`, `<system-reminder>`, `</system-reminder>a"]}`)},
	{"starts-of-another-tag", repeated(`{"messages":["a`, `<system-reminder>`, `</user_instructions>"]}`)},
	{"escaped-reminders", repeated(`{"messages":["`, `\u003csystem-reminder\u003e\u003c/system-reminder\u003e`, `a"]}`)},
	{"notes-without-closing", repeated(`{"messages":["`, `[Runtime Context — metadata only\n\n`, `a"]}`)},
	{"notes-of-two-kinds", repeated(`{"messages":["Sender (untrusted, a):\n\n`, `<relevant-memories> (untrusted, a):\n\n`, `a"]}`)},
	{"billing-blocks", repeated(`{"system":["a"`, `,"x-anthropic-billing-header:"`, `],"messages":["a"]}`)},
	{"billing-block-without-end", repeated(`{"system":"x-anthropic-billing-header:`, `a`, `","messages":["a"]}`)},
	{"prompt-of-newlines", repeated(`{"prompt":"a`, `\n`, `b"}`)},
	{"prompt-of-spaces", repeated(`{"prompt":"a`, ` `, `b"}`)},
	{"prompt-of-lines", repeated(`{"prompt":"a`, `\na`, `b"}`)},
	{"prompt-of-words", repeated(`{"prompt":"a`, ` a`, `"}`)},
	{"prompt-of-colons", repeated(`{"prompt":"a`, `:\n`, `b"}`)},
	{"prompt-of-almost-the-last-word", repeated(`{"prompt":"`, strings.Repeat("a", 39)+`b`, ` `+strings.Repeat("a", 40)+`"}`)},
	{"prompt-of-tokens", repeated(`{"prompt":[1`, `,1`, `]}`)},
	{"prompt-of-escapes-that-are-none", repeated(`{"prompt":"`, `\x{`, `"}`)},
	{"prompt-of-escapes", repeated(`{"prompt":"`, `\u0061`, `"}`)},
	{"user-id-as-bait", repeated(`{"metadata":{"user_id":"`, `user_a_account__session_`, `"},"messages":["a"]}`)},
	{"user-id-of-escapes", repeated(`{"metadata":{"user_id":"`, `\u0061`, `"},"messages":["a"]}`)},
	{"user-id-of-braces", repeated(`{"metadata":{"user_id":"`, `{`, `"},"messages":["a"]}`)},
	{"ends-of-elements-in-messages", repeated(`{"messages":["a"`, `,{"role":"user","content":"</x>"}`, `]}`)},
	{"lines-of-a-person", repeated(`{"messages":["`, `\"User: \\:\u000a`, `"]}`)},
	{"white-space", repeated(`{`, ` `, `"messages":["a"]}`)},
	{"white-space-between", repeated(`{"messages":["a"`, " , \"\"\n", `]}`)},
	{"floats", repeated(`{"messages":[1`, `,-1.5e+3`, `]}`)},
	{"items-with-references", repeated(`{"input":["a"`, `,{"type":"item_reference","id":"x"}`, `]}`)},
	{"reasoning", repeated(`{"input":["a"`, `,{"type":"reasoning","id":"rs_"}`, `]}`)},
	{"environments", repeated(`{"tools":[{"a":1`, `,"environment":{"skills":[{}]}`, `}]}`)},
	{"steps", repeated(`{"messages":["<user_request>\n1\n</user_request>\n\n<agent_history>\n`, `\n<step>\n`, `\n</agent_history>\n\n<agent_state>\n"]}`)},
	{"steps-without-end", repeated(`{"messages":["a"`, `,"<user_request>\n1\n</user_request>\n\n<agent_history>\n\n<step>\n"`, `]}`)},
	{"queries", repeated(`{"messages":["Context information is below.\n`, `\nQuery: `, `Answer:"]}`)},
	{"extras", repeated(`{"messages":["`, `[EXTRAS]\n{`, `}"]}`)},
	{"almost-extras", repeated(`{"messages":["`, `EXTRAS]\n{`, `}"]}`)},
	{"headings", repeated(`{"messages":["`, `\n\n#### `, `to achieve the highest-quality analysis for the user."]}`)},
	{"instructions", repeated(`{"messages":["<context>`, `<instruction>`, `</instruction>"]}`)},
	{"wrappings-in-wrappings", repeated(`{"messages":["<context></reminderInstructions>`, `<context><instruction>`, `</instruction>\n\n#### to achieve the highest-quality analysis for the user."]}`)},
	{"context", repeated(`{"messages":["`, `<memory></memory>`, `"]}`)},
	{"context-and-words", repeated(`{"messages":["`, `<memory></memory>`, `a"]}`)},
	{"system-prompt-again", repeated(`{"messages":["a"`, `,"a\n\nReply in English please"`, `],"system":"Reply in English please"}`)},
	{"system-prompt-again-and-two-roles", repeated(`{"messages":[{"role":"user","content":"a"},{"content":"b","role":"user","role":"user"}`,
		`,{"role":"user","content":"\u0041\n\nReply in English please"}`, `],"system":"Reply in English please"}`)},
	{"a-header-line-of-everything", repeated(`{"messages":["`, `\u003c\/\\\"/ \n<`, `a"]}`)},
}

func repeated(start, middle, end string) func(int) string {
	return func(n int) string { return start + strings.Repeat(middle, (n-len(start)-len(end))/len(middle)) + end }
}

// Memory is linear in the body: each of six looks at it may have to make room for
// it anew, since what was lent and given back may be gone (under -race it is
// dropped at random). So is time: with work that grows as the square, these bodies
// would each keep this test busy for the best part of a minute.
func TestHostileBodies(t *testing.T) {
	long(t)
	const size = 256 << 10
	for _, input := range hostile {
		t.Run(input.name, func(t *testing.T) {
			r := &extract.Request{Body: []byte(input.body(size))}
			require.Less(t, allocated(func() {
				for _, e := range []extract.Extractor{extract.Default(), extract.Classic(), extract.Body("a", "messages.0.content")} {
					e.Extract(r)
				}
				r.Class()
				r.Pins()
				r.Opening()
			}), uint64(8*size))
		})
	}
}

func BenchmarkHostile(b *testing.B) {
	for _, input := range hostile {
		b.Run("input="+input.name, func(b *testing.B) {
			body := []byte(input.body(2 << 20))
			chain := extract.Default()
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				chain.Extract(&extract.Request{Body: body})
			}
		})
	}
}

func BenchmarkHostileHeader(b *testing.B) {
	for _, input := range []struct {
		name string
		key  func(i int) string
	}{
		{"vendors", func(i int) string { return fmt.Sprintf("X-A%d-Session-Id", i) }},
		{"vendors-in-lower-case", func(i int) string { return fmt.Sprintf("x-a%d-session-id", i) }},
		{"others", func(i int) string { return fmt.Sprintf("X-Other-%d", i) }},
	} {
		b.Run("input="+input.name, func(b *testing.B) {
			h := http.Header{}
			for i := range 10_000 { // more than net/http lets through by default
				h[input.key(i)] = []string{"null"}
			}
			chain := extract.Default()
			b.ReportAllocs()
			for b.Loop() {
				chain.Extract(&extract.Request{Header: h})
			}
		})
	}
}
