package extract_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

func TestLegacyPrompts(t *testing.T) {
	t.Parallel()
	body := func(prompt string) string { return `{"model":"m","prompt":` + quote(prompt) + `}` }
	said := func(role, message string) string { return `{"role":"` + role + `","message":` + quote(message) + `}` }
	answer := strings.Repeat("A line of the answer.\nkey: value\n\n", 100)
	for _, test := range []struct {
		name           string
		earlier, later string
		want           string
	}{
		{"a retry", body("Human: hi\nAI:"), body("Human: hi\nAI:"), same},
		{"white space at the ends", body("Human: hi\nAI:"), body("\nHuman: hi\nAI: \n"), same},
		{"white space of other kinds", body("Human: hi\nAI:"), body("\r\tHuman: hi\nAI:\t\r"), same},
		{"a control character at the end", body("Human: hi\nAI:"), body("Human: hi\nAI:\x01"), apart},
		{"one line each", body("Human: hi\nAI:"), body("Human: hi\nAI: hello\nHuman: on\nAI:"), continues},
		{"an answer of 300 lines", body("Human: hi\nAI:"), body("Human: hi\nAI: " + answer + "\nHuman: on\nAI:"), continues},
		{"the third turn", body("Human: hi\nAI: " + answer + "\nHuman: on\nAI:"), body("Human: hi\nAI: " + answer + "\nHuman: on\nAI:" + answer + "\nHuman: more\nAI:"), continues},
		{"Llama", body("<s>[INST] hi [/INST]"), body("<s>[INST] hi [/INST] hello </s><s>[INST] on [/INST]"), continues},
		{"ChatML", body("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"),
			body("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n" + answer + "<|im_end|>\n<|im_start|>user\non<|im_end|>\n<|im_start|>assistant\n"), continues},
		{"Alpaca", body("### Instruction:\nhi\n\n### Response:"), body("### Instruction:\nhi\n\n### Response:\n" + answer + "\n### Instruction:\non\n\n### Response:"), continues},
		{"lines without labels", body("hi\nhello\non"), body("hi\nhello\non\nwhat\nelse"), continues},
		{"CRLF", body("hi\r\nAI:"), body("hi\r\nAI: hello\r\non\r\nAI:"), continues},
		{"a long word at the end", body("hi " + strings.Repeat("x", 100)), body("hi " + strings.Repeat("x", 100) + " hello " + strings.Repeat("x", 100)), continues},
		{"an array of one, as of LangChain", `{"prompt":["Human: hi\nAI:"]}`, body("Human: hi\nAI: hello\nHuman: on\nAI:"), continues},
		{"escapes", `{"prompt":"a\/b\u0041\nAI:"}`, body("a/bA\nAI: é\nHuman: on\nAI:"), continues},

		{"messages, as of the AI SDK", `{"prompt":[{"role":"system","content":"s"},` + u("hi") + `]}`,
			`{"prompt":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"hi"}]},` + a("x") + `,` + u("on") + `]}`, continues},
		{"other messages", `{"prompt":[` + u("hi") + `]}`, `{"prompt":[` + u("ho") + `]}`, apart},
		{"messages in another order of members", `{"prompt":[` + u("hi") + `]}`, `{"prompt":[{"content":"hi","role":"user"}]}`, same},

		{"another question", body("Human: hi\nAI:"), body("Human: ho\nAI:"), apart},
		{"a long question under other instructions", body("Be kind.\n" + strings.Repeat("Why? ", 60) + "AI:"), body("Be brief.\n" + strings.Repeat("Why? ", 60) + "AI:"), apart},
		{"another question to the same introduction", body("You are an AI.\nHuman: hi\nAI:"), body("You are an AI.\nHuman: ho\nAI:"), apart},
		{"the end differs", body("Human: hi\nAI:"), body("Human: hi\nBob:"), apart},
		{"a batch", `{"prompt":["a","b"]}`, `{"prompt":["a","c"]}`, apart},
		{"a batch and the same as one", `{"prompt":["a","b"]}`, `{"prompt":"a\nb"}`, apart},
		{"a batch again", `{"prompt":["a","b"]}`, `{"prompt":[ "a" , "\u0062" ]}`, same},
		{"tokens", `{"prompt":[1,2,3]}`, `{"prompt":[1,23]}`, apart},
		{"one token", `{"prompt":[1]}`, `{"prompt":[2]}`, apart},
		{"tokens again", `{"prompt":[1,2,3]}`, `{"prompt":[ 1, 2, 3 ]}`, same},
		{"batches of tokens", `{"prompt":[[1],[2,3]]}`, `{"prompt":[[1,2],[3]]}`, apart},
		{"Amazon Titan", `{"inputText":"User: hi\nBot:"}`, `{"inputText":"User: hi\nBot: hello\nUser: on\nBot:"}`, continues},
		{"Amazon Titan, another question", `{"inputText":"User: hi\nBot:"}`, `{"inputText":"User: ho\nBot:"}`, apart},
		{"Hugging Face", `{"inputs":"[INST] hi [/INST]","parameters":{}}`, `{"inputs":"[INST] hi [/INST] hello [INST] on [/INST]","parameters":{}}`, continues},

		{"Cohere before v2", `{"model":"c","message":"hi"}`, `{"message":"on","chat_history":[` + said("USER", "hi") + `,` + said("CHATBOT", "hello") + `]}`, continues},
		{"Cohere, the third turn", `{"chat_history":[` + said("User", "hi") + `,` + said("Chatbot", "hello") + `],"message":"on"}`,
			`{"chat_history":[` + said("User", "hi") + `,` + said("Chatbot", "x") + `,` + said("User", "on") + `,` + said("Chatbot", "y") + `],"message":"more"}`, continues},
		{"Cohere, with results of tools", `{"model":"c","message":"hi","preamble":"s"}`,
			`{"message":"","preamble":"s","chat_history":[` + said("USER", "hi") + `,{"role":"CHATBOT","tool_calls":[{"name":"n"}]}],"tool_results":[{"call":{"name":"n"},"outputs":[]}]}`, same},
		{"Cohere, the system in the history", `{"message":"hi","chat_history":[` + said("SYSTEM", "s") + `]}`,
			`{"message":"on","preamble":"s","chat_history":[` + said("USER", "hi") + `,` + said("CHATBOT", "hello") + `]}`, continues},
		{"Cohere, another question", `{"model":"c","message":"hi"}`, `{"model":"c","message":"ho"}`, apart},
		{"Cohere, another system prompt", `{"model":"c","message":"hi","preamble":"s"}`, `{"model":"c","message":"hi","preamble":"t"}`, apart},
		{"Cohere, another history", `{"message":"on","chat_history":[` + said("USER", "hi") + `]}`, `{"message":"on","chat_history":[` + said("USER", "ho") + `]}`, apart},
		{"Cohere, a system prompt with a time", `{"model":"c","message":"hi","preamble":"It is 10:05. Be kind."}`,
			`{"message":"on","preamble":"It is 10:06. Be kind.","chat_history":[` + said("User", "hi") + `,` + said("Chatbot", "hello") + `]}`, continues},
		{"Cohere, with two roles", `{"message":"on","chat_history":[{"role":"USER","role":"USER","message":"hi"},` + said("USER", "ho") + `]}`,
			`{"message":"on","chat_history":[{"role":"USER","role":"USER","message":"hi"},` + said("USER", "he") + `]}`, apart},
		{"Cohere, what nobody said", `{"message":"on","chat_history":[` + said("USER", "hi") + `,` + said("TOOL", "x") + `]}`, `{"message":"on","chat_history":[` + said("USER", "hi") + `]}`, same},
		{"Cohere, a greeting", `{"message":"hi","chat_history":[` + said("CHATBOT", "x") + `]}`, `{"message":"on","chat_history":[` + said("CHATBOT", "x") + `,` + said("USER", "hi") + `,` + said("CHATBOT", "y") + `]}`, continues},

		{"a prompt and a message", body("hi"), `{"messages":[{"role":"user","content":"hi"}]}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			later := trailOf(t, test.later)
			if test.want != "" {
				require.Equal(t, test.want, relation(later, trailOf(t, test.earlier)))
			}
			require.LessOrEqual(t, len(later.Continues), 32)
		})
	}
}

// Bedrock names the model in the path.
func TestCohereOnBedrock(t *testing.T) {
	t.Parallel()
	_, ok := extract.Trail().Extract(&extract.Request{Path: "/model/cohere.command-r-v1:0/invoke", Body: []byte(`{"message":"hi"}`)})
	require.True(t, ok)
}
