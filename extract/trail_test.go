package extract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// trailOf returns the trail of a body, which must have one.
func trailOf(t testing.TB, body string) extract.Session {
	t.Helper()
	s, ok := extract.Trail().Extract(&extract.Request{Body: []byte(body)})
	require.True(t, ok, "no trail in %.300s", body)
	require.Equal(t, "trail", s.Source)
	return s
}

// How a request leads back to an earlier one.
const (
	same      = "same"      // it finds the binding of the earlier one as its own
	continues = "continues" // it takes its target and identity over
	near      = "near"      // it starts at its target
	apart     = "apart"
)

// relation says how the later request leads back to the earlier one.
func relation(later, earlier extract.Session) string {
	stored := append([]string{earlier.ID}, earlier.Aliases...)
	found := func(ids []string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(stored, id) })
	}
	switch {
	case found([]string{later.ID}):
		return same
	case found(later.Continues):
		return continues
	case found(later.Near):
		return near
	}
	return apart
}

// Over every wire format, each turn leads back to the one before, the requests
// of one turn are one, and conversations that differ part where they do.
func TestTrailOverWireFormats(t *testing.T) {
	t.Parallel()
	for _, f := range wireFormats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			body := func(talk talk) string { return string(style{}.json(f.render(talk, style{}))) }
			trail := func(talk talk) extract.Session { return trailOf(t, body(talk)) }

			require.True(t, json.Valid([]byte(body(talk{"s", []said{call("x"), result("y"), model("z"), look("i", "b")}}))))

			base := talk{system: "Be brief.", said: []said{user("Where is Oslo?")}}
			turns := []talk{base}
			next := func(more ...said) { turns = append(turns, turns[len(turns)-1].with(more...)) }
			next(call("a.txt"), result("A"))                   // the same turn
			next(call("b.txt"), result("B"))                   // the same turn
			next(model("In Norway."), user("And Bergen?"))     // turn 2
			next(model("Too."), user("And Rome?"))             // turn 3
			next(call("c.txt"), result("C"))                   // the same turn
			next(user("Never mind."))                          // turn 4, in the middle of a call
			next(model("As you wish."), look("iVBOR", "This")) // turn 5
			for i, turn := range turns[1:] {
				want := continues
				if i == 0 || i == 1 || i == 4 {
					want = same
				}
				require.Equal(t, want, relation(trail(turn), trail(turns[i])), "%s behind %s", body(turn), body(turns[i]))
			}
			for i := range turns {
				require.Equal(t, same, relation(trail(turns[i]), trail(turns[i])), "a retry")
			}

			// All that follow differ from the talk above in one thing.
			for _, test := range []struct {
				name   string
				other  talk
				shared int // requests above that both have
			}{
				{"first question", talk{base.system, []said{user("Where is Oslo!")}}, 0},
				{"system prompt", talk{"Be brief!", base.said}, 0},
				{"no system prompt", talk{"", base.said}, 0},
				{"system prompt as a text", talk{"", []said{user("Be brief.", "Where is Oslo?")}}, 0},
				{"second question", base.with(model("In Norway."), user("And Bodø?")), 1},
				{"second question to another answer", base.with(model("In the north."), user("And Bodø?")), 1},
				{"third question", turns[3].with(model("Too."), user("And Paris?")), 2},
			} {
				other := trail(test.other)
				for i, turn := range turns {
					r := relation(other, trail(turn))
					if i < 3 && test.shared > 0 || i == 3 && test.shared > 1 {
						require.Equal(t, continues, r, "%s: request %d is their trunk", test.name, i+1)
					} else {
						require.Equal(t, apart, r, "%s: request %d", test.name, i+1)
						require.NotEqual(t, same, relation(trail(turn), other))
					}
				}
			}
			if f.blocks {
				one, two := trail(talk{"s", []said{user("a\nb")}}), trail(talk{"s", []said{user("a", "b")}})
				require.Equal(t, apart, relation(one, two), "two texts are not one")
				require.Equal(t, same, relation(trail(talk{"s", []said{user("a"), user("b")}}), two), "two messages are two texts")
			}
			// What begins with an image is known by its words and by which image it is.
			if f.images {
				first := trail(talk{"s", []said{look("iVBOR1", "What is this?")}})
				require.Equal(t, apart, relation(trail(talk{"s", []said{look("iVBOR2", "What is this?")}}), first))
				require.Equal(t, apart, relation(trail(talk{"s", []said{user("What is this?")}}), first))
				require.Equal(t, continues, relation(trail(talk{"s", []said{look("iVBOR1", "What is this?"), model("A cat."), user("Sure?")}}), first))
				bare, other := said{who: "user", image: "iVBOR1"}, said{who: "user", image: "iVBOR2"}
				require.Equal(t, apart, relation(trail(talk{"s", []said{bare}}), trail(talk{"s", []said{other}})))
				require.Equal(t, continues, relation(trail(talk{"s", []said{bare, model("A cat."), user("Sure?")}}), trail(talk{"s", []said{bare}})))
			}
		})
	}
}

// A conversation goes on in another protocol, as it does where a person changes to a model of
// another provider, and it opens like before.
func TestTrailOverProtocols(t *testing.T) {
	t.Parallel()
	first := talk{"Be brief.", []said{user("Where is Oslo?")}}
	next := first.with(call("a.txt"), result("A"), model("In Norway."), user("And Bergen?"))
	for _, f := range wireFormats {
		for _, g := range wireFormats {
			before, after := string(style{}.json(f.render(first, style{}))), string(style{}.json(g.render(next, style{})))
			require.Equal(t, continues, relation(trailOf(t, after), trailOf(t, before)), "%s behind %s", after, before)
			one, _ := (&extract.Request{Body: []byte(before)}).Opening()
			other, _ := (&extract.Request{Body: []byte(after)}).Opening()
			require.Equal(t, one, other, "%s, then %s", f.name, g.name)
			other, _ = (&extract.Request{Body: style{}.json(g.render(talk{"Be kind.", next.said}, style{}))}).Opening()
			require.NotEqual(t, one, other, "%s, then %s", f.name, g.name)
		}
	}
}

// The way in which a request is written changes nothing: the order of members,
// white space, escapes, strings or blocks, markers of caches, ids, thinking,
// arguments, tools, and all that models say.
func TestTrailDoesNotDependOnStyle(t *testing.T) {
	t.Parallel()
	for _, f := range wireFormats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(7, 11))
			for range 150 {
				talk := randomTalk(random, f.blocks, f.images)
				plain := style{}.json(f.render(talk, style{}))
				want := trailOf(t, string(plain))
				s := style{random}
				body := s.json(f.render(talk, s))
				require.True(t, json.Valid(body), "%s", body)
				require.Equal(t, want, trailOf(t, string(body)), "%s\n%s", plain, body)
			}
		})
	}
}

// Every character that a person wrote counts, and so do the borders of texts.
func TestTrailDependsOnEveryCharacter(t *testing.T) {
	t.Parallel()
	for _, f := range wireFormats {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(3, 5))
			for range 5 {
				talk := randomTalk(random, f.blocks, f.images)
				id := func() string { return trailOf(t, string(style{}.json(f.render(talk, style{})))).ID }
				want := id()
				change := func(p *string) {
					was := []rune(*p)
					for i, r := range was {
						for _, other := range []string{"x", "", string(r) + "x", strings.ToUpper(string(r))} {
							changed := string(was[:i]) + other + string(was[i+1:])
							if strings.TrimSpace(changed) == strings.TrimSpace(string(was)) {
								continue
							}
							*p = changed
							require.NotEqual(t, want, id(), "%q for %q in %q", other, r, string(was))
						}
					}
					*p = string(was)
				}
				change(&talk.system)
				for i := range talk.said {
					if talk.said[i].who != "user" {
						continue
					}
					talk.said[i].texts = slices.Clone(talk.said[i].texts)
					for j := range talk.said[i].texts {
						change(&talk.said[i].texts[j])
					}
					if talk.said[i].image != "" {
						change(&talk.said[i].image)
					}
				}
				require.Equal(t, want, id())
			}
		})
	}
}

// Whatever a body says, it is the same however it is written.
func TestTrailOfAnything(t *testing.T) {
	long(t)
	t.Parallel()
	names := strings.Fields("role content parts text type images cache_control toolResult thought system systemInstruction " +
		"system_instruction instructions messages contents input prompt request context metadata user_id session_id conversation id a b tool_call_id")
	texts := []string{"user", "assistant", "model", "system", "developer", "tool", "text", "image", "message", "function_call", "tool_result", "", " ", "\n", "call_8sTqXc2Vn4Lw", "call_9sTqXc2Vn4Lw",
		"a", "b\nc:", "<system-reminder>", "</system-reminder>", "<system-reminder>/a/b</system-reminder>", " \t<user_instructions>é</user_instructions>\n",
		"x-anthropic-billing-header: a", "x-anthropic-billing-header:\nb", "/a/b", "\\n/c/d", "\x00", "\u2028", "😀", `"`, `\`}
	random := rand.New(rand.NewPCG(9, 9))
	var anything func(depth int) any
	anything = func(depth int) any {
		switch n := random.IntN(12); {
		case depth > 0 && n < 4:
			var o obj
			for _, i := range random.Perm(len(names))[:random.IntN(6)] {
				o = append(o, member{names[i], anything(depth - 1)})
			}
			return o
		case depth > 0 && n < 7:
			list := make([]any, random.IntN(4))
			for i := range list {
				list[i] = anything(depth - 1)
			}
			return list
		case n == 7:
			return nil
		case n == 8:
			return raw([]string{"0", "-1", "1.5e+3", "true", "false"}[random.IntN(5)])
		}
		var b strings.Builder
		for range 1 + random.IntN(3) {
			b.WriteString(texts[random.IntN(len(texts))])
		}
		return b.String()
	}
	found := 0
	for range 5_000 {
		message := func() any {
			return obj{{"role", texts[random.IntN(6)]}, {names[1+random.IntN(2)], anything(3)}}
		}
		body := obj{{"messages", []any{message(), anything(4), message()}}, {"system", anything(2)}}
		if random.IntN(3) == 0 {
			body = append(body, member{"contents", anything(4)}, member{"input", anything(4)}, member{"request", anything(5)}, member{"prompt", anything(2)})[random.IntN(3):]
		}
		first, again := style{}.json(body), style{random}.json(body)
		one, ok := extract.Trail().Extract(&extract.Request{Body: first})
		requireValid(t, one, ok)
		two, ok2 := extract.Trail().Extract(&extract.Request{Body: again})
		require.Equal(t, ok, ok2)
		require.Equal(t, one, two, "%s\n%s", first, again)
		if ok {
			found++
		}
	}
	require.Greater(t, found, 1_000)
}

// randomTalk returns some talk that ends with a person's words.
func randomTalk(random *rand.Rand, blocks, images bool) talk {
	words := []string{"Où", "est", "/home/anna/proj", "<b>", "</b>", "\"x\"", `C:\new`, "😀", "\n", "\t", "&amp;", "漢字", "ok", "\u2028", "a<system-reminder>", "https://x.org/a", "\x01", "{{x}}"}
	text := func() string {
		var b strings.Builder
		b.WriteByte('a')
		for range 1 + random.IntN(5) {
			b.WriteString(words[random.IntN(len(words))])
			if random.IntN(2) == 0 {
				b.WriteByte(' ')
			}
		}
		b.WriteByte('z')
		return b.String()
	}
	person := func() said {
		m := user(text())
		for blocks && random.IntN(3) == 0 {
			m.texts = append(m.texts, text())
		}
		if images && random.IntN(4) == 0 {
			m.image = "iVBOR" + fmt.Sprint(random.IntN(100))
		}
		return m
	}
	t := talk{said: []said{person()}}
	if random.IntN(4) > 0 {
		t.system = text()
	}
	for range random.IntN(4) {
		for range random.IntN(3) {
			t.said = append(t.said, call(text()), result(text()))
		}
		t.said = append(t.said, model(text()), person())
	}
	return t
}

// chat, claude, gemini and responses return bodies with the given JSON of
// messages.
func chat(messages ...string) string { return `{"messages":[` + strings.Join(messages, ",") + `]}` }

func claude(system string, messages ...string) string {
	return `{"system":` + system + `,"messages":[` + strings.Join(messages, ",") + `],"max_tokens":64}`
}

func gemini(system string, contents ...string) string {
	return `{"contents":[` + strings.Join(contents, ",") + `],"systemInstruction":{"parts":[` + text_(system) + `]}}`
}

func responses(items ...string) string { return `{"input":[` + strings.Join(items, ",") + `]}` }

// u, a and sys are messages of a person, a model and the system with one text,
// ub one of a person with blocks, text_ a block.
func u(text string) string   { return `{"role":"user","content":` + quote(text) + `}` }
func a(text string) string   { return `{"role":"assistant","content":` + quote(text) + `}` }
func sys(text string) string { return `{"role":"system","content":` + quote(text) + `}` }
func ub(blocks ...string) string {
	return `{"role":"user","content":[` + strings.Join(blocks, ",") + `]}`
}
func gu(text string) string { return `{"role":"user","parts":[{"text":` + quote(text) + `}]}` }
func gm(text string) string { return `{"role":"model","parts":[{"text":` + quote(text) + `}]}` }
func pictureAt(url string) string {
	return `{"type":"image_url","image_url":{"url":` + quote(url) + `}}`
}
func text_(text string) string { return `{"type":"text","text":` + quote(text) + `}` }

// What goes with the signature of an address makes no difference beside that, and all there is alone.
func TestSignedAddresses(t *testing.T) {
	t.Parallel()
	for signature, with := range map[string]string{
		"Signature":        "Expires Policy Key-Pair-Id AWSAccessKeyId x-amz-security-token GoogleAccessId OSSAccessKeyId security-token AccessKeyId",
		"sig":              "sv ss srt sr sp st se si sip spr skoid sktid skt ske sks skv",
		"x-oss-signature":  "x-oss-signature-version x-oss-credential x-oss-date x-oss-expires x-oss-security-token",
		"q-signature":      "x-cos-security-token q-ak",
		"X-Amz-Signature":  "x-id X-Amz-Date",
		"X-Goog-Signature": "X-Goog-Date",
		"X-Tos-Signature":  "X-Tos-Date",
	} {
		for _, name := range strings.Fields(with) {
			at := func(value, signature string) extract.Session {
				return trailOf(t, chat(ub(pictureAt("https://c.net/a.png?sv=1&"+name+"="+value+"&"+signature+"="+value))))
			}
			require.Equal(t, same, relation(at("1", signature), at("2", signature)), name)
			require.Equal(t, apart, relation(at("1", "w"), at("2", "w")), name)
			require.Equal(t, apart, relation(at("1", signature+"s"), at("2", signature+"s")), name)
		}
	}
}

// Two conversations that run at once, in two directories and otherwise alike, stay apart, also
// where a client names the directory beside what changes with every request.
func TestDirectoriesTellApart(t *testing.T) {
	t.Parallel()
	info := func(dir, time, more string) string {
		return "<info-msg>\nIt is currently " + time + "\nWorking directory: " + dir + more + "\n</info-msg>\n"
	}
	workspace := func(dir string) string {
		return u("<workspace_info>\nI am working in " + dir + "\n</workspace_info>")
	}
	asked := func(file, question string) string {
		return u("<context>\nTerminal: /bin/zsh\n</context>\n<editorContext>\nThe current file is " + file + "\n</editorContext>\n<reminderInstructions>\n</reminderInstructions>\n" + question)
	}
	const called, result = `{"role":"assistant","content":"","tool_calls":[]}`, `{"role":"tool","content":"x"}`
	for name, conversation := range map[string]func(dir string) []string{
		"Goose tells it in front of the last answer, which may be the first one or not": func(dir string) []string {
			return []string{
				chat(sys("s"), u(info(dir, "9:00", "")+"hi")),
				chat(sys("s"), u("hi\n"+info(dir, "9:01", "\nTasks: /etc/hosts")), called, result),
				chat(sys("s"), u("hi"), called, result, u(info(dir, "9:02", "")), called, result),
				chat(sys("s"), u("hi"), called, result, called, result, u(info(dir, "9:03", "")), a("x"), u("on")),
				chat(sys("t"), u("hi"), called, result, called, result, a("x"), u("on\n"+info(dir, "10:00", "")), a("y"), u("more")),
			}
		},
		"Copilot Chat, with the file at hand in the last message": func(dir string) []string {
			return []string{
				chat(sys("s"), workspace(dir), asked("/tmp/1.go", "hi")),
				chat(sys("s"), workspace(dir), u("hi"), a("x"), asked("/tmp/2.go", "on")),
				chat(sys("s"), workspace(dir), u("hi"), a("x"), u("on"), a("y"), asked("/tmp/3.go", "more")),
			}
		},
		"Open WebUI, with what was looked up for the last question": func(dir string) []string {
			found := "### Task:\nRespond to the user query using the provided context\n<context>see /etc/hosts</context>\n"
			return []string{
				chat(sys("In "+dir+"."), u(found+"hi")),
				chat(sys("Now in "+dir+"."), u("hi"), a("x"), u("on")),
			}
		},
	} {
		for _, directories := range [][]string{{"/home/anna/a", "/home/anna/b"}, {"/home/anna/a"}} {
			known := map[string]string{} // the directory by the ids that its conversation has
			for turn := range conversation("") {
				for _, dir := range directories {
					s := trailOf(t, conversation(dir)[turn])
					is := dir
					if turn > 0 {
						is = ""
					}
					for _, id := range append([]string{s.ID}, s.Continues...) {
						if of, ok := known[id]; ok {
							is = of
							break
						}
					}
					require.Equal(t, dir, is, "%s: request %d", name, turn+1)
					for _, id := range append([]string{s.ID}, s.Aliases...) {
						known[id] = dir
					}
				}
			}
		}
	}
}

// Of a prompt that Bedrock keeps, a request has what it is to be filled in with. Elsewhere, a member
// of that name is anybody's.
func TestPromptVariables(t *testing.T) {
	t.Parallel()
	request := func(path, city string, messages ...string) *extract.Request {
		return &extract.Request{Path: path, Body: []byte(`{"promptVariables":{"city":{"text":"` + city + `"}},` + claude(`"s"`, messages...)[1:])}
	}
	trail := func(r *extract.Request) extract.Session {
		s, ok := extract.Trail().Extract(r)
		require.True(t, ok)
		return s
	}
	const path = "/model/arn%3Aaws%3Abedrock%3A%3A%3Aprompt%2FA/converse-stream"
	oslo := request(path, "Oslo", u("hi"))
	require.Equal(t, apart, relation(trail(request(path, "Rome", u("hi"))), trail(oslo)))
	require.Equal(t, continues, relation(trail(request(path, "Oslo", u("hi"), a("x"), u("on"))), trail(oslo)))
	require.NotEqual(t, oslo.Boundaries()[0], request(path, "Rome", u("hi")).Boundaries()[0])
	require.Equal(t, trail(request("/v1/messages", "Oslo", u("hi"))), trail(request("/v1/messages", "Rome", u("hi"))))
}

// Bodies that show no conversation: those that continue state on the server, and others.
func TestNoTrail(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body string }{
		{"previous_response_id", `{"input":"hi","previous_response_id":"resp_1"}`},
		{"previous_interaction_id", `{"input":"hi","previous_interaction_id":"i_1"}`},
		{"an id that is too long", `{"input":"hi","previous_response_id":"resp_` + strings.Repeat("x", 300) + `"}`},
		{"an id that is far too long", `{"input":"hi","previous_response_id":"resp_` + strings.Repeat("x", 20_000) + `"}`},
		{"conversation", `{"input":"hi","conversation":"conv_1"}`},
		{"conversation as an object", `{"input":"hi","conversation":{"id":"conv_1"}}`},
		{"a thread that continues", `{"thread":{"type":"continue","previous_message_id":"msg_1"},"messages":[{"role":"user","content":"hi"}]}`},
		{"context of Ollama", `{"prompt":"hi","context":[1,2,3]}`},
		{"context of Ollama, a low token", `{"prompt":"hi","context":[0]}`},
		{"context of Ollama, a high token", `{"prompt":"hi","context":[9906,0]}`},

		{"nothing", `{}`},
		{"no messages", `{"messages":[]}`},
		{"messages of other types", `{"messages":null,"contents":1,"input":true,"prompt":{}}`},
		{"elements of other types", `{"messages":[1,null,true,[],{}]}`},
		{"only a system prompt", `{"system":"s","messages":[{"role":"system","content":"s"}]}`},
		{"only answers", `{"messages":[{"role":"assistant","content":"x"}]}`},
		{"only results", `{"messages":[{"role":"tool","content":"x"},{"role":"user","content":[{"type":"tool_result","content":"x"}]}]}`},
		{"only results of a server's tools", `{"messages":[{"role":"user","content":[{"type":"mcp_tool_result","content":"x"},{"type":"web_search_tool_result","content":[]}]}]}`},
		{"only results of Converse", `{"messages":[{"role":"user","content":[{"toolResult":{"content":[{"text":"x"}]}}]}]}`},
		{"only results of Gemini", `{"contents":[{"role":"user","parts":[{"functionResponse":{"name":"n"}}]}]}`},
		{"only results of Responses", `{"input":[{"type":"function_call_output","output":"x"},{"type":"item_reference","id":"i"}]}`},
		{"empty texts", `{"messages":[{"role":"user","content":""},{"role":"user","content":[{"type":"text","text":" \n"}]},{"role":"user"}]}`},
		{"only markers, in snake case", `{"messages":[{"role":"user","content":[{"cache_point":{"type":"default"}}]}]}`},
		{"only markers", `{"messages":[{"role":"user","content":[{"cachePoint":{"type":"default"}}]}]}`},
		{"only calls of Gemini, in all spellings", `{"contents":[{"role":"user","parts":[{"functionCall":{"name":"n"}},{"function_call":{"name":"n"}},{"function_response":{"name":"n"}}]}]}`},
		{"only blocks of tools and models", `{"messages":[{"role":"user","content":[{"type":"function_call_output","output":"x"},{"type":"function_result","result":"x"},
			{"type":"thinking","thinking":"x"},{"type":"redacted_thinking","data":"x"},{"type":"server_tool_use","id":"x"}]}]}`},
		{"only what comes and goes", `{"messages":[{"role":"user","content":[{"type":"x"},{"cache_control":{}},{"thoughtSignature":"x"},{"thought_signature":"x"},{"role":"x"}]}]}`},
		{"only an image for the system", `{"system":[{"type":"image","data":"x"}],"messages":[]}`},
		{"an empty prompt", `{"prompt":""}`},
		{"a blank prompt", `{"prompt":" \n\t"}`},
		{"a prompt of nothing", `{"prompt":[]}`},
		{"a prompt of an empty text", `{"prompt":[""]}`},
		{"an unknown form", `{"query":"hi","text":"hi"}`},
		{"inputs without a text", `{"inputs":{"name":"x"},"query":"hi"}`},
		{"a history without a message", `{"chat_history":[{"role":"USER","message":"hi"}]}`},
		{"a message of an application", `{"sender":"anna","message":"yes"}`},
		{"a message of a webhook", `{"model":"m","message":{"text":"yes","chat":{"id":1}}}`},
		{"a history of pairs", `{"message":"yes","chat_history":[["hi","hello"]]}`},
		{"a history of other roles", `{"message":"yes","chat_history":[{"type":"human","content":"hi"},{"type":"ai","content":"hello"}]}`},
		{"a history by another name", `{"model":"m","message":"yes","history":[["hi","hello"]]}`},
		{"ChatGLM's history", `{"prompt":"yes","history":[["hi","hello"]]}`},
		{"two roles, the last of which counts", `{"messages":[{"role":"user","content":"hi","role":"assistant"}]}`},
		{"two contents, the last of which counts", `{"messages":[{"role":"user","content":"hi","content":""}]}`},
		{"a role that nobody has", `{"messages":[{"role":"critic","content":"hi"}]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			requireSession(t, extract.Trail(), &extract.Request{Body: []byte(test.body)}, "", "")
		})
	}
	for _, body := range []string{
		`{"input":"hi","previous_response_id":null}`, `{"input":"hi","previous_response_id":""}`, `{"input":"hi","conversation":null}`,
		`{"prompt":"hi","context":[]}`, `{"prompt":"hi","context":"notes"}`, `{"prompt":"hi","context":["notes"]}`, `{"prompt":"hi","context":[{"file":"a.go"}]}`, `{"prompt":"hi","context":{"file":"a.go"}}`,
		`{"input":"hi","previous_response_id":"null"}`, `{"input":"hi","previous_response_id":"undefined"}`, `{"input":"hi","previous_response_id":" "}`,
		`{"input":"hi","previous_response_id":{}}`, `{"input":"hi","conversation":{}}`, `{"input":"hi","conversation":{"id":null}}`,
		`{"input":"hi","conversation":{"id":""}}`, `{"input":"hi","conversation":"none"}`,
		`{"thread":{"type":"create"},"messages":[{"role":"user","content":"hi"}]}`,
		`{"prompt":"hi","history":[]}`, `{"model":"m","message":"hi","chat_history":[]}`,
	} {
		trailOf(t, body)
	}
}

// Pieces of content may stand without a message around them.
func TestTrailOfContentAlone(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"text", "image", "audio", "document", "video", "input_text", "input_image", "input_audio", "input_file"} {
		one := trailOf(t, `{"input":[{"type":"`+kind+`","data":"a"}]}`)
		require.NotEqual(t, one.ID, trailOf(t, `{"input":[{"type":"`+kind+`","data":"b"}]}`).ID, kind)
	}
}

// What models have said, and what they want, shows that they have answered.
func TestItemsOfModels(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"function_call": continues, "reasoning": continues, "custom_tool_call": continues, "local_shell_call": continues,
		"model_output": continues, "item_reference": continues, "function_call_output": apart, "program": apart,
	} {
		later := trailOf(t, responses(sys("It is 9:01 in /home/anna/proj."), u("hi"), `{"type":"`+kind+`","id":"x"}`, u("on")))
		require.Equal(t, want, relation(later, trailOf(t, responses(sys("It is 9:00 in /home/anna/proj."), u("hi")))), kind)
	}
}

// What stands for a compacted conversation may have a role and words, too, in any order.
func TestCompactionWithARole(t *testing.T) {
	t.Parallel()
	want := trailOf(t, responses(u("hi"), `{"content":"They spoke.","type":"compaction","role":"user"}`, u("on")))
	for _, item := range []string{
		`{"type":"compaction","role":"user","content":"They spoke."}`, `{"role":"user","type":"compaction","content":"They spoke."}`,
		`{"role":"user","content":"They spoke.","type":"compaction"}`, `{"role":"user","parts":[{"text":"They spoke."}],"type":"compaction"}`,
	} {
		require.Equal(t, want, trailOf(t, responses(u("hi"), item, u("on"))), item)
	}
}

// What it takes to read a conversation does not grow with its messages, wherever a content ends.
func TestMessagesTakeNoAllocation(t *testing.T) {
	for _, message := range []string{
		u("hi"), `{"role":"user","content":"hi","id":"x"}`, `{"type":"message","role":"user","content":"hi","id":"x"}`, `{"role":"user","parts":[{"text":"hi"}],"id":"x"}`,
		`{"role":"assistant","content":"x","id":"x"}`, `{"role":"model","parts":[{"text":"x"}]}`, `{"role":"tool","content":"x"}`,
	} {
		body := []byte(chat(append(slices.Repeat([]string{message}, 1000), u("hi"))...))
		require.Less(t, testing.AllocsPerRun(5, func() { extract.Trail().Extract(&extract.Request{Body: body}) }), 100.0, message)
	}
}

// An opening is the system prompt and what a person wrote before the first answer.
func TestOpening(t *testing.T) {
	t.Parallel()
	opening := func(body string) uint64 {
		o, ok := (&extract.Request{Body: []byte(body)}).Opening()
		require.True(t, ok, body)
		return o
	}
	const one = `{"system":"s","messages":[{"role":"user","content":"a"}]}`
	const two = `{"system":"s","messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{}}]},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}`
	require.Equal(t, opening(one), opening(two))
	require.NotEqual(t, opening(one), opening(`{"system":"t","messages":[{"role":"user","content":"a"}]}`))
	require.NotEqual(t, opening(one), opening(`{"system":"s","messages":[{"role":"user","content":"x"}]}`))
	require.Equal(t, opening(claude(quote("s\n"+rules), u("hi\n\n"+rules))), opening(claude(quote("s\n"+rules), u("hi"), a("x"), u("on\n\n"+rules))), "Aider's")
	require.Equal(t, opening(chat(u(browserUse("buy milk", "page 1")))), opening(chat(u(browserUse("buy milk", "page 2", "a", "b")))), "of browser-use")
	const more = `{"system":"s","messages":["a","b"]}`
	require.Equal(t, opening(more), opening(`{"system":"s","messages":["a","b",{"role":"assistant","content":"c"},"d"]}`))
	require.NotEqual(t, opening(more), opening(`{"system":"s","messages":["a","c"]}`))
	require.Equal(t, opening(responses(u("hi"))), opening(responses(u("hi"), compaction("1"), u("on"))), "before OpenAI has compacted")
	for _, prompt := range []string{`null`, `""`} {
		require.Equal(t, opening(one), opening(`{"prompt":`+prompt+`,`+one[1:]))
	}
	require.NotEqual(t, opening(template("Oslo", u("hi"))), opening(template("Bergen", u("hi"))))
	for _, body := range []string{``, `{}`, `{"messages":[]}`, `{"messages":`, `{"previous_response_id":"resp_1","input":"x"}`, `{"prompt":"User: hi\nAssistant:"}`} {
		_, ok := (&extract.Request{Body: []byte(body)}).Opening()
		require.False(t, ok, body)
	}
}

// A turn leads back over many texts at once, but not over any number: what a
// Selector looks up for one request is bounded.
func TestTrailIsBounded(t *testing.T) {
	long(t)
	t.Parallel()
	turns := slices.Repeat([]string{a("x"), u(strings.Repeat("1", 32))}, 1000)
	s := trailOf(t, claude(`"/home/anna/proj"`, append([]string{u(reminder("/a/b") + "0")}, turns...)...))
	require.LessOrEqual(t, len(s.Continues), 32)
	require.LessOrEqual(t, len(s.Near), 8)
	require.LessOrEqual(t, len(s.Aliases), 4)

	require.Len(t, trailOf(t, chat(sys("s"), u("hi"))).Aliases, 1)
	require.Len(t, trailOf(t, chat(sys("s"), u("hi"), a("x"), u("on"))).Near, 2)
	require.Len(t, trailOf(t, chat(sys("s"), u("a\nb"))).Aliases, 2)
	require.Len(t, trailOf(t, `{"prompt":`+quote(strings.Repeat("User: hi\n\nAssistant: ho\n", 40)+"Assistant:")+`}`).Aliases, 2)

	blocks := slices.Repeat([]string{text_("1")}, 1000)
	s = trailOf(t, chat(ub(blocks...)))
	require.Len(t, s.Continues, 15)

	// Nor does it look at any number of messages, blocks and values.
	const most = 1 << 15
	for _, test := range []struct {
		name string
		body func(n int) string
	}{
		{"messages", func(n int) string { return chat(slices.Repeat([]string{u("1")}, n)...) }},
		{"messages that begin as those of many do", func(n int) string { return chat(slices.Repeat([]string{u("I")}, n)...) }},
		{"other messages", func(n int) string { return chat(append(slices.Repeat([]string{"1"}, n-1), u("1"))...) }},
		{"texts", func(n int) string { return chat(ub(slices.Repeat([]string{`"1"`}, n-1)...)) }},
		{"blocks of two members", func(n int) string { return chat(ub(slices.Repeat([]string{text_("1")}, (n-1)*2/3)...)) }},
		{"members of a message", func(n int) string {
			return chat(`{"role":"user","content":"1"` + strings.Repeat(`,"a":1`, 4*n-4) + `}`)
		}},
		{"members of a block", func(n int) string {
			return chat(ub(`{"text":"1"` + strings.Repeat(`,"a":1`, 4*n-9) + `}`))
		}},
		{"texts of the system", func(n int) string {
			return claude("["+strings.TrimSuffix(strings.Repeat(`"1",`, n-1), ",")+"]", u("1"))
		}},
		{"messages that end like the system prompt", func(n int) string {
			return claude(quote(rules), slices.Repeat([]string{u("1\n\n" + rules)}, n)...)
		}},
		{"messages, one with two roles, that end like the system prompt", func(n int) string {
			return claude(quote(rules), append(slices.Repeat([]string{u("1\n\n" + rules)}, (4*n-9)/11), `{"role":"user","content":"1","role":"user"}`)...)
		}},
		{"members of a block in an answer that comes first", func(n int) string {
			return chat(`{"role":"assistant","content":[{`+strings.TrimSuffix(strings.Repeat(`"a":1,`, 4*n-18), ",")+`}]}`, u("1"))
		}},
		{"injected elements in front", func(n int) string { return chat(u(strings.Repeat("<info-msg>a</info-msg>", n-3) + "1")) }},
		{"texts that begin like elements", func(n int) string {
			return chat(append(slices.Repeat([]string{u("<1>")}, n/3-1), slices.Repeat([]string{u("1")}, 3+n%3)...)...)
		}},
		{"injected elements behind", func(n int) string { return chat(u("1" + strings.Repeat("<info-msg>a</info-msg>", n-1))) }},
		{"steps of browser-use", func(n int) string { return chat(u(browserUse("1", "2", slices.Repeat([]string{"a"}, n-2)...))) }},
		{"tokens", func(n int) string { return `{"prompt":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + `]}` }},
		{"images", func(n int) string {
			return `{"prompt":"a","images":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + `]}`
		}},
	} {
		trailOf(t, test.body(most))
		_, ok := extract.Trail().Extract(&extract.Request{Body: []byte(test.body(most + 1))})
		require.False(t, ok, test.name)
	}
}

func FuzzTrail(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for _, format := range wireFormats {
		s := style{random}
		f.Add(s.json(format.render(randomTalk(random, format.blocks, format.images), s)))
	}
	for _, trap := range traps() {
		if len(trap.earlier)+len(trap.later) < 1000 {
			f.Add([]byte(trap.earlier))
			f.Add([]byte(trap.later))
		}
	}
	for _, s := range []string{
		claude(`["a",{"text":"x-anthropic-billing-header: a\nb"}]`, u(reminder("/a/b")+"\nc"), sys("d"), a("e"), ub(text_("f"), `{"type":"image","x":[1,{"y":null}]}`)),
		`""`, `{"prompt":"a: b\n\nc: d","images":["x"],"system":"s"}`, `{"prompt":["\ud83d\ude00"]}`, `{"prompt":[[1,2],[3]]}`,
		`{"input":[{"type":"user_input","content":"a"},"b",{"type":"image","data":"c"}],"instructions":"C:\\new\/x \u2028"}`,
		chat(u("a"), u("b"), u("a")),
		chat(called(idA), ub(`{"type":"tool_result","tool_use_id":"`+digest+`","content":[{"type":"text","text":"\u003cx>"},1]}`), called(digest, strings.Repeat(`\u0061`, 100)), a("a"), u("b"), called(idA)),
		`{"input":[{"type":"function_call_output","call_id":"` + idA + `","output":[{"text":"b","type":"c"}]}]}`,
		chat(ub(`{"toolResult":{"toolUseId":"` + idA + `","content":[{"text":"a"}]}}`)),
		`{"request":{"contents":{"parts":{"text":"\u003csystem-reminder>a<\/system-reminder>\u000ab"}},"systemInstruction":"\u0041"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, ok := extract.Trail().Extract(&extract.Request{Body: body})
		requireValid(t, s, ok)
		again, ok2 := reencode(body)
		if !ok2 {
			t.Skip("not JSON, or ambiguous")
		}
		s2, ok2 := extract.Trail().Extract(&extract.Request{Body: again})
		require.Equal(t, ok, ok2)
		require.Equal(t, s, s2, "%s", again)
		if !bytes.HasPrefix(bytes.TrimSpace(again), []byte("{")) {
			require.False(t, ok)
			return // nothing can be added to what is no object
		}
		for _, larger := range larger(t, again) {
			s2, ok2 = extract.Trail().Extract(&extract.Request{Body: larger})
			require.Equal(t, ok, ok2)
			require.Equal(t, s, s2, "%s ... %s", larger[:40], again)
		}
	})
}

// larger returns bodies that say the same, but are so large that their messages
// are read in passing; and some in which that is not enough, since there is a
// second list of messages, with nothing in it.
func larger(t testing.TB, body []byte) (bodies [][]byte) {
	members := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal(body, &members))
	rest := bytes.TrimSpace(body)[1:]
	if len(members) > 0 {
		rest = append([]byte(","), rest...)
	}
	for _, name := range []string{"pad", "messages", "contents", "input"} {
		if members[name] == nil {
			bodies = append(bodies, fmt.Appendf(nil, `{"padding":"%s",%q:[]%s`, strings.Repeat("x", wholly), name, rest))
		}
	}
	return bodies
}

// Messages and blocks that are written as most clients write them are known by how
// they begin. A blank behind each bracket makes others of them, which mean the same.
func TestMessagesOfTheUsualFormAreNoOthers(t *testing.T) {
	long(t)
	t.Parallel()
	heads := []string{`{"role":"user"`, `{"role":"assistant"`, `{"role":"user","role":"assistant"`, `{"role":"assistant","role":"user"`, `{"role":"model"`, `{"role":"tool"`, `{"role":"system"`, `{"type":"message","role":"user"`, `{"type":"message","role":"assistant"`}
	contents := []string{``, `,"content":"a"`, `,"content":null`, `,"content":null,"parts":[{"text":"b"}]`, `,"content":null,"content":"c"`, `,"content":"d","content":"e"`,
		`,"content":[{"type":"tool_result","content":"f"}]`, `,"content":[{"type":"tool_result"}]`, `,"content":[{"type":"tool_results","text":"g"}]`, `,"content":[{"type":"text","text":"h"},"i"]`,
		`,"content":{"type":"tool_result","text":"j"}`, `,"content":[]`, `,"content":{}`, `,"content":1`, `,"content":"\\\"k","images":["l"]`, `,"content":"m","role":"model"`, `,"content":"n","type":"reasoning"`,
		`,"parts":[{"text":"o"},{"inlineData":{"data":"p"}}]`, `,"parts":[{"functionResponse":{"q":"r"}}]`, `,"parts":[{"functionResponse":{"q":"r"}},{"functionResponse":{}}]`, `,"parts":[{"text":"s"},{"functionResponse":{}},"t"]`, `,"parts":null`, `,"parts":null,"parts":[{"text":"u"}]`,
		`,"parts":[{"text":"v"}],"content":"w"`, `,"parts":[{"text":"x"}],"content":null`, `,"content":"y","parts":[{"text":"z"}]`, `,"parts":[{"text":"A"}],"parts":[{"text":"B"}]`, `,"parts":[{"text":"C"}],"message":"D"`,
		`,"content":[{"toolResult":{"text":"E"}}]`, `,"content":[{"toolResult":"F","text":"G"},{"text":"H"}]`,
		`,"content":[{"type":"tool_result","tool_use_id":"` + idA + `","content":"I"}]`, `,"content":[{"type":"tool_result","tool_use_id":"` + digest + `","content":[{"type":"text","text":"J"}]},{"toolResult":{"toolUseId":"` + idB + `"}}]`,
		`,"content":[{"toolResult":{"toolUseId":"` + idA + `"}},{"toolResult":{"content":[{"text":"K"}],"toolUseId":"` + digest + `"}},{"toolResult":{"toolUseId":"` + idB + `"}}]`}
	tails := []string{``, `,"id":"x"`, `,"x":{"y":[1,"}"]}`, `,"tool_call_id":"` + idC + `"`, `,"tool_call_id":"` + digest + `"`}
	random := rand.New(rand.NewPCG(4, 4))
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	found := 0
	for range 5000 {
		var list, backwards []string
		twice := false // a message has two roles, of which either may count
		for range 1 + random.IntN(5) {
			head, content, tail := pick(heads), pick(contents), pick(tails)
			list = append(list, head+content+tail+"}")
			backwards = append(backwards, "{"+strings.TrimPrefix(content+tail+","+head[1:]+"}", ","))
			twice = twice || strings.Count(head+content, `"role"`) > 1
		}
		usual, late := chat(list...), chat(backwards...)
		if twice {
			late = usual
		}
		other := strings.ReplaceAll(usual, `{"`, `{ "`)
		padding := `{"padding":"` + strings.Repeat("x", wholly) + `",`
		python := strings.NewReplacer(`":`, `": `, `,"`, `, "`)
		want, ok := extract.Trail().Extract(&extract.Request{Body: []byte(other)})
		for _, body := range []string{usual, late, python.Replace(usual), python.Replace(late), padding + usual[1:], padding + late[1:], padding + strings.TrimLeft(other[1:], " ")} {
			s, got := extract.Trail().Extract(&extract.Request{Body: []byte(body)})
			require.Equal(t, ok, got, usual)
			require.Equal(t, want, s, usual)
		}
		r, o := extract.Request{Body: []byte(usual)}, extract.Request{Body: []byte(other)}
		require.Equal(t, o.Class(), r.Class())
		opening, _ := o.Opening()
		again, _ := r.Opening()
		require.Equal(t, opening, again)
		if ok {
			found++
		}
	}
	require.Greater(t, found, 2000)
}

// Google's clients have the role behind the parts. Results of tools are then taken in without a look
// at the role first, which makes no difference.
func TestResultsInFrontOfTheRole(t *testing.T) {
	t.Parallel()
	const result = `{"functionResponse":{"response":{"output":"]}\\\""}}}`
	for _, before := range []string{"", `{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"text":"b"}]},`,
		`{"role":"model","content":[{"type":"compaction","content":"c"}]},`} {
		for _, parts := range []string{result, result + "," + result, result + `,{"text":"d"}`, result + "," + result + `,{"inlineData":{}}`} {
			for _, behind := range []string{"", `,{"role":"user","parts":[{"text":"e"}]}`} {
				for _, role := range []string{"user", "function", "model"} {
					with := func(message string) *extract.Request {
						return &extract.Request{Body: []byte(`{"contents":[` + before + message + behind + `]}`)}
					}
					first, last := with(`{"role":"`+role+`","parts":[`+parts+`]}`), with(`{"parts":[`+parts+`],"role":"`+role+`"}`)
					want, ok := extract.Trail().Extract(first)
					s, got := extract.Trail().Extract(last)
					require.Equal(t, ok, got, string(last.Body))
					require.Equal(t, want, s, string(last.Body))
				}
			}
		}
	}
}

// reencode writes a JSON object anew through encoding/json. It reports false if
// readers might differ about what it says: duplicate names, half surrogates,
// invalid UTF-8 and too deep nesting.
func reencode(body []byte) ([]byte, bool) {
	if !json.Valid(body) || !utf8.Valid(body) || bytes.Contains(bytes.ToLower(body), []byte(`\ud`)) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if !distinct(d) {
		return nil, false
	}
	d = json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	b, err := json.MarshalIndent(v, " ", "\t")
	return b, err == nil
}

// distinct reads the next value and reports whether all names in every object
// of it are.
func distinct(d *json.Decoder) bool {
	token, err := d.Token()
	if err != nil {
		return false
	}
	open, ok := token.(json.Delim)
	if !ok {
		return true
	}
	names := map[any]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil || names[name] {
				return false
			}
			names[name] = true
		}
		if !distinct(d) {
			return false
		}
	}
	_, err = d.Token()
	return err == nil
}

// Of several contents the last one counts, also where it says nothing.
func TestContentsThatAreTakenBack(t *testing.T) {
	t.Parallel()
	for _, test := range [][2]string{
		{`{"role":"user","content":"y","content":null}`, `{"role":"user","content":null}`},
		{`{"content":"z","role":"user","content":"y"}`, `{"role":"user","content":"y"}`},
		{`{"role":"user","content":"q","parts":[{"text":"z"}],"content":null}`, `{"role":"user","content":null,"parts":[{"text":"z"}]}`},
	} {
		require.Equal(t, trailOf(t, chat(u("x"), test[1])), trailOf(t, chat(u("x"), test[0])), test[0])
	}
}

// An empty context is none, however it is written.
func TestEmptyContext(t *testing.T) {
	t.Parallel()
	for _, context := range []string{`null`, `""`, `[]`, `[ ]`, "[\n]"} {
		require.Equal(t, trailOf(t, chat(u("x"))), trailOf(t, `{"context":`+context+`,`+chat(u("x"))[1:]))
	}
	_, ok := extract.Trail().Extract(&extract.Request{Body: []byte(`{"context":[1],` + chat(u("x"))[1:])})
	require.False(t, ok)
}

// Messages that are malformed have no trail, whatever the size of the body and
// whoever has read it before.
func TestTrailOfMalformedMessages(t *testing.T) {
	t.Parallel()
	for size, list := range map[int]string{0: `"messages":`, 5_000: `"messages":`, 20_000: `"messages":`, 40_000: `"messages":`, 30_000: `"message":"on","chat_history":`} {
		body := []byte(`{"pad":"` + strings.Repeat("x", size) + `",` + list + `[{"role":"user","content":"hello"},{"role" "assistant"},{"role":"user","content":"other"}]}`)
		_, ok := extract.Default().Extract(&extract.Request{Body: body})
		require.False(t, ok, "%d", size)
		r := &extract.Request{Body: body}
		r.Pins()
		_, ok = extract.Default().Extract(r)
		require.False(t, ok, "%d", size)
	}
}

// A value that is nested too deeply is skimmed and refused. To go through it by recursion first,
// as the digest of an image does, took megabytes of stack.
func TestDeepNestingInMessagesTakesNoStack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection shrinks stacks
	for _, message := range []string{
		`{"role":"user","content":[{"type":"image","source":@}]}`,
		`{"role":"system","content":[{"type":"image","source":@}]}`,
		`{"type":"input_image","image_url":@}`,
	} {
		const n = 50000
		for _, deep := range []string{strings.Repeat("[", n) + strings.Repeat("]", n), strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			found := make(chan bool)
			go func() { // it begins with a small stack
				_, ok := extract.Trail().Extract(&extract.Request{Body: []byte(`{"messages":[` + strings.Replace(message, "@", deep, 1) + `]}`)})
				runtime.ReadMemStats(&after)
				found <- ok
			}()
			require.False(t, <-found)
			require.Less(t, int64(after.StackInuse)-int64(before.StackInuse), int64(1<<20), "%s", message)
		}
	}
}

// What an application shows in front of all that was said, such as the files that are open, may be
// something else in each turn.
func TestWhatStandsInFrontChanges(t *testing.T) {
	t.Parallel()
	asked := []string{"Where is Oslo in Norway?", "And who was king there in 1905?", "Why?"}
	shown := 0
	turn := func(n int) string {
		shown++
		messages := []string{sys("s"), u(fmt.Sprintf("The file %d is open.", shown))}
		for _, q := range asked[:n-1] {
			messages = append(messages, u(q), a("x"))
		}
		return chat(append(messages, u(asked[n-1]))...)
	}
	for n := 2; n <= len(asked); n++ {
		require.Equal(t, near, relation(trailOf(t, turn(n)), trailOf(t, turn(n-1))), n)
	}
	require.Equal(t, apart, relation(trailOf(t, strings.Replace(turn(2), `"s"`, `"t"`, 1)), trailOf(t, turn(1))))
	require.Equal(t, apart, relation(trailOf(t, turn(2)), trailOf(t, chat(sys("s"), u(asked[0])))), "nothing in front")
}

// Frameworks of several agents show each what the others have said, as words of the user.
func TestWhatOtherAgentsSaid(t *testing.T) {
	t.Parallel()
	for name, show := range map[string]func(what string) string{
		"Google ADK": func(what string) string { return ub(text_("For context:"), text_(what)) },
		"Eino":       func(what string) string { return u("For context: " + what + ".") },
	} {
		said, call := show("[root] said: In the south"), show("[root] called tool: `transfer_to_agent` with arguments: guide")
		result := show("[root] `transfer_to_agent` tool returned result: done")
		for _, more := range []string{said, call, result} {
			require.Equal(t, same, relation(trailOf(t, chat(u("hi"), more)), trailOf(t, chat(u("hi"), show("[guide] said: Hm")))), "%s: %s", name, more)
		}
		root := trailOf(t, chat(sys("route"), u("Where is Oslo?"), a("In the south"), u("Why?")))
		first := trailOf(t, chat(sys("guide"), u("Where is Oslo?"), said, u("Why?"), call, result))
		require.Equal(t, near, relation(first, root), name)
		require.Equal(t, continues, relation(trailOf(t, chat(sys("guide"), u("Where is Oslo?"), said, u("Why?"), call, result, a("x"), u("When?"))), first), name)
		require.Equal(t, apart, relation(trailOf(t, chat(sys("guide"), u("Where is Rome?"), said, u("Why?"), call, result)), root), name)
		require.Equal(t, apart, relation(trailOf(t, chat(show("[root] said: Oslo"))), trailOf(t, chat(show("[root] said: Rome")))), name)
	}
	person := func(words string) string { return chat(u("hi"), a("x"), u(words)) }
	require.Equal(t, apart, relation(trailOf(t, person("For context: [1] is Oslo.")), trailOf(t, person("For context: [1] is Rome."))))
	require.Equal(t, apart, relation(trailOf(t, person("For context: in [1] Anna] said: Oslo")), trailOf(t, person("For context: in [1] Anna] said: Rome"))))
	behind := func(file string) string {
		return chat(u("hi"), a("x"), ub(text_("Why?"), text_("For context:"), text_(file)))
	}
	require.NotEqual(t, trailOf(t, behind("Oslo")).ID, trailOf(t, behind("Rome")).ID, "what a person shows behind a question")
}

// An agent may be reminded of several things behind the question at hand, in messages that stand
// behind the newest results in its next step.
func TestRemindersBehindAQuestion(t *testing.T) {
	t.Parallel()
	reminded := func(step int) string {
		return u("Please go on until all of it is done.") + "," + u(fmt.Sprintf("You have %d steps left.", 9-step))
	}
	acted := a("") + `,{"role":"tool","content":"x"}`
	question := u("Where is Oslo?")
	first := trailOf(t, chat(sys("s"), question, reminded(0)))
	second := trailOf(t, chat(sys("s"), question, acted, reminded(1)))
	next := trailOf(t, chat(sys("s"), question, acted, acted, a("x"), u("Why?"), reminded(0)))
	require.Equal(t, near, relation(second, first))
	require.Equal(t, near, relation(next, first))
	require.Equal(t, near, relation(trailOf(t, chat(sys("s"), question, a("x"), u("Why?"), acted, reminded(1))), next))
	require.Equal(t, apart, relation(trailOf(t, chat(sys("s"), u("Where is Rome?"), acted, reminded(1))), first))
}

// Of the pictures that it has seen, an agent may be shown the last few. Three of them tell
// where it was; one or two may be of the empty page with which all begin.
func TestTheLastPictures(t *testing.T) {
	t.Parallel()
	step := func(n int) string {
		messages := []string{sys("s"), u("Buy a hat.")}
		for i := max(0, n-4); i <= n; i++ {
			messages = append(messages, ub(pictureAt(fmt.Sprintf("data:image/png;base64,%d", i))), a("Action: click"))
		}
		return chat(messages[:len(messages)-1]...)
	}
	for n := 5; n < 9; n++ {
		require.Equal(t, near, relation(trailOf(t, step(n)), trailOf(t, step(n-1))), n)
		require.Equal(t, apart, relation(trailOf(t, step(n)), trailOf(t, strings.ReplaceAll(step(n-1), "base64,", "base64,A"))), n)
	}
	image := func(n string) string {
		return ub(pictureAt("data:image/png;base64," + n))
	}
	begun := chat(sys("Buy a hat."), image("0"), a("Open a page."), image("1"), a("Click."), image("2"))
	other := chat(sys("Sell a car."), image("1"), a("Open a page."), image("2"), a("Type."), image("3"))
	require.Equal(t, apart, relation(trailOf(t, other), trailOf(t, begun)), "strangers who have begun with the same two")
}

// Khoj shows what it has looked up before the current question, and after those before, in other
// words. So do others with what they remember.
func TestWhatWasLookedUpMovesBehindTheQuestion(t *testing.T) {
	t.Parallel()
	body := func(system string, messages ...string) string {
		return chat(append([]string{sys(system)}, messages...)...)
	}
	now := func(n int) []string {
		return []string{u(fmt.Sprintf("User's notes:\n%d", n)), u(fmt.Sprintf("You remember that I like the number %d.", n))}
	}
	var said, last []string
	for n, question := range []string{capital, "And Denmark?", "Why?", "And since when does it have a harbour?"} {
		messages := append(append(slices.Clone(said), now(n)...), u(question))
		later := trailOf(t, body("s", messages...))
		if n > 0 {
			require.Equal(t, near, relation(later, trailOf(t, body("s", last...))), question)
			other := slices.Clone(last)
			other[len(other)-1] = u("And Finland, which is not the same?")
			require.Equal(t, apart, relation(later, trailOf(t, body("s", other...))), question)
		}
		if n == 1 { // many begin with the same question
			require.Equal(t, apart, relation(later, trailOf(t, body("others'", last...))))
		}
		last = messages
		said = append(said, u(question), u(fmt.Sprintf("# URI: notes.md\n%d", n)), a("So be it."))
	}
}
