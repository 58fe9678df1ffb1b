package extract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// Ids of calls as servers make them.
const (
	idA = "call_8sTqXc2Vn4LwPz0aKd7RmY1e"
	idB = "call_Zk3Fh9JbQ5uGt6WxNo8CvE2i"
	idC = "call_m7Da1RyU4pSlH0gTqB9kXe6w"
	idD = "call_Pq2Ls9TnE0vYr6UiKx4JwZ8o"

	search = `{"type":"web_search_call","id":"ws_8sTqXc2Vn4LwPz0aKd7RmY1e"}`

	digest = "call_3f0b8c1a9d7e" // of the name and the arguments
)

// called is a call of a tool in the format of OpenAI's chat, and its result: "x" or another.
func called(id string, result ...string) string {
	return `{"role":"assistant","content":null,"tool_calls":[{"id":"` + id + `"}]},` + toolResult(id, result...)
}

// A request that has lost the words that it was known by is found by the calls that it shows.
func TestCallsLeadBack(t *testing.T) {
	t.Parallel()
	long, x63 := "Write a test for each of the files that were changed.", strings.Repeat("x", 63)
	for _, test := range []struct{ name, earlier, later, want string }{
		{"a window moves on", chat(sys("s"), called(idA), called(idB)), chat(sys("s"), called(idB), called(idC)), continues},
		{"a window moves on past the words", chat(sys("s"), called(idA), u("Go on."), called(idB)), chat(sys("s"), called(idB), called(idC)), continues},
		{"a window moves on with the words", chat(sys("s"), called(idA), u(long), called(idB)), chat(sys("s"), u(long), called(idB), called(idC)), continues},
		{"the answer came behind the last call", chat(sys("s"), called(idA), called(idB)), chat(sys("s"), called(idB), a("Done."), u("Thanks!")), continues},
		{"a summary is written into the system prompt", chat(sys("s"), called(idA), called(idB)), chat(sys("They spoke."), called(idB), called(idC)), continues},
		{"a client begins the answer", chat(sys("s"), called(idA), called(idB), a("{")), chat(sys("s"), called(idB), called(idC), a("{")), continues},
		{"two calls at a time", chat(sys("s"), called(idA), called(idB)), chat(sys("s"), called(idB), `{"role":"assistant"}`, toolResult(idC), toolResult(idA)), continues},
		{"three calls at a time", chat(sys("s"), called(idA), called(idB)), chat(sys("s"), called(idB), `{"role":"assistant"}`, toolResult(idC), toolResult(idD), toolResult(idA)), continues},
		{"a reminder behind the result", chat(sys("s"), called(idA), called(idB), u("<system-reminder>x</system-reminder>")), chat(sys("s"), called(idB), called(idC)), continues},
		{"all calls stay", chat(sys("s"), called(idA)), chat(sys("s"), called(idA), called(idB)), same},
		{"the same calls under another prompt", chat(sys("s"), called(idA)), chat(sys("r"), called(idA)), apart},
		{"a call that comes first tells apart", chat(sys("s"), called(idA), u(long)), chat(sys("s"), called(idB), u(long)), apart},
		{"whatever words were answered", chat(sys("s"), called(idA), u(long)), chat(sys("s"), called(idB), u(long), a("x"), u("b")), near},
		{"in a directory", chat(sys("It is 9:05 in /home/anna/proj."), called(idA), u(long)), chat(sys("It is 9:06 in /home/anna/proj."), called(idB), u(long), a("x"), u("b")), near},
		{"and goes on", chat(sys("s"), called(idA), u(long)), chat(sys("s"), called(idA), u(long), a("x"), u("b")), continues},
		{"a call behind the words does not", chat(sys("s"), u(long), called(idA)), chat(sys("s"), u(long), called(idB)), same},
		{"nor does one behind what was injected", chat(sys("s"), u("<system-reminder>x</system-reminder>"), called(idA)), chat(sys("s"), u("<system-reminder>x</system-reminder>"), called(idB)), same},

		{"examples of calls", chat(sys("s"), called(idA), u("one")), chat(sys("s"), called(idA), u("two")), apart},
		{"examples of calls, and others", chat(sys("s"), called(idA), u("one"), called(idB)), chat(sys("s"), called(idA), u("two"), called(idC)), apart},
		{"the last of the examples", chat(sys("s"), called(idA), u("one")), chat(sys("s"), called(idA), u("two"), called(idB)), apart},
		{"the last call of others", chat(sys("s"), u("a"), called(idA)), chat(sys("s"), u("b"), called(idA)), apart},
		{"a digest, with another result", chat(sys("s"), called(idA), called(digest)), chat(sys("s"), called(digest, "y"), called(idC)), apart},
		{"a digest that comes first, with another result", chat(sys("s"), called(digest)), chat(sys("s"), called(digest, "y")), apart},
		{"a digest under a clock", chat(sys("It is 9:05."), u("a"), called(digest)), chat(sys("It is 9:06."), u("b"), called(digest, "y"), called(idB)), apart},
		{"a time, with another result", chat(sys("s"), called(idA), called("20261130T120501Z")), chat(sys("s"), called("20261130T120501Z", "y"), called(idC)), apart},
		{"a number, with another result", chat(sys("s"), called(idA), called("call_2run173299000012")), chat(sys("s"), called("call_2run173299000012", "y"), called(idC)), apart},
		{"as many letters beyond F as a digest never has, with another result", chat(sys("s"), called(idA), called("call_g1h2i3a4b5c6")), chat(sys("s"), called("call_g1h2i3a4b5c6", "y"), called(idC)), continues},
		{"a digest, with a result that differs in the 64th byte", chat(sys("s"), called(idA), called(digest, x63+"a")), chat(sys("s"), called(digest, x63+"b"), called(idC)), apart},
		{"a digest, with a result that differs in the 65th byte", chat(sys("s"), called(idA), called(digest, x63+"xa")), chat(sys("s"), called(digest, x63+"xb"), called(idC)), continues},
		{"a digest, with the same result", chat(sys("s"), called(idA), called(digest)), chat(sys("s"), called(digest), called(idC)), continues},
		{"a digest, with a result that has lost its end", chat(sys("s"), called(idA), called(digest, strings.Repeat("x", 600))), chat(sys("s"), called(digest, strings.Repeat("x", 150)+"..."), called(idC)), continues},
		{"a model's own search behind the result", chat(sys("s"), called(idA), called(idB)), chat(sys("s"), called(idB), search, called(idC)), continues},
		{"a model's own search in front", chat(sys("s"), search, called(idA)), chat(sys("s"), search, called(idA), called(idB)), same},
		{"a result that was cleared", chat(sys("s"), called(idA), called(idB)), chat(sys("s"), called(idB, "cleared"), called(idC)), continues},
		{"calls that are counted", chat(sys("s"), called("functions.read:0"), called("functions.read:1")), chat(sys("s"), called("functions.read:1"), called("functions.read:2")), none},
		{"calls without ids", chat(sys("s"), `{"role":"tool","content":"x"}`), chat(sys("s"), `{"role":"tool","content":"x"}`), none},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			earlier, ok := extract.Trail().Extract(&extract.Request{Body: []byte(test.earlier)})
			require.Equal(t, test.want != none, ok)
			later, ok := extract.Trail().Extract(&extract.Request{Body: []byte(test.later)})
			require.Equal(t, test.want != none, ok)
			if ok {
				require.Equal(t, test.want, relation(later, earlier))
			}
		})
	}
}

const none = "none" // neither has a session

func toolResult(id string, result ...string) string {
	return `{"role":"tool","tool_call_id":"` + id + `","content":"` + append(result, "x")[0] + `"}`
}

// The id of a call is found in each format, however that is written.
func TestCallsInAnyForm(t *testing.T) {
	t.Parallel()
	for _, id := range []string{idA, digest} {
		want := trailOf(t, chat(toolResult(id)))
		for _, results := range [][2]string{
			{`{"content":"x","role":"tool","tool_call_id":"%s"}`, `{"role":"tool","content":[{"type":"text","text":"x"}],"tool_call_id":"%s"}`},
			{`{"tool_call_id":"%s","role":"tool","content":"x"}`, `{"content": "x", "role": "tool", "tool_call_id": "%s"}`},
			{`{"role":"tool","name":"f","tool\u005fcall_id":"%s","content":"\u0078"}`, `{ "role" : "tool" , "tool_call_id" : "%s", "content" : "x" }`},
			{`{"role":"user","content":[{"type":"tool_result","tool_use_id":"%s","content":"x"}]}`, `{"role":"user","content":[{"tool_use_id":"%s","content":"x","type":"tool_result"}]}`},
			{`{"type":"function_call_output","call_id":"%s","output":"x"}`, `{"output":"x","call_id":"%s","type":"function_call_output"}`},
			{`{"role":"user","content":[{"toolResult":{"toolUseId":"%s","content":[{"text":"x"}]}}]}`, `{"role":"user","content":[{ "toolResult" : {"status":"success","content":[{"text":"x"}],"toolUseId":"%s"}}]}`},
			{`{"role":"tool","toolResult":{},"content":"x","tool_call_id":"%s"}`, `{"role":"tool","tool_call_id":"%s","toolResult":{},"content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}`},
			{`{"role":"tool","tool_call_id":"%s","content":[ { "type" : "text" , "text" : "x" } ]}`, `{"role":"tool","content":[{"type":"text","note":"` + strings.Repeat("-", 600) + `","text":"x"}],"tool_call_id":"%s"}`},
		} {
			for _, result := range results {
				require.Equal(t, want, trailOf(t, chat(fmt.Sprintf(result, id))), result)
				require.NotEqual(t, want, trailOf(t, chat(fmt.Sprintf(result, idB))), result)
			}
		}
	}
	for _, id := range []string{"toolu_01A09q90qw90lq917835lq9", "chatcmpl-tool-3f0b8c1a9d7e4f25a6b1c0d2e3f40516", "9b2f6c1e-5d3a-4e7f-8a90-1b2c3d4e5f60", `call_\u0041bc1def2ghi3`, "call_x7kqwzvbnmtr4"} {
		trailOf(t, chat(toolResult(id)))
	}
	for _, id := range []string{"", "call_1", "functions.read:12", "call_1732990000123", "readallthefiles1", "call_a1b2c3d4e5f", "read-all-the-files", "functions.step2:12"} {
		_, ok := extract.Trail().Extract(&extract.Request{Body: []byte(chat(toolResult(id)))})
		require.False(t, ok, id)
	}
}
