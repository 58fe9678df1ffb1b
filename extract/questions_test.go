package extract_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// What is asked to look something up is made of the conversation first, in words that differ.
func TestQuestionsThatStandAlone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]extract.Class{
		"Given a chat history and the latest user question which might reference context in the chat history, formulate a standalone question which":  extract.Auxiliary, // LangChain
		"Given a conversation (between Human and Assistant) and a follow up message from Human, rewrite the message to be a standalone question that": extract.Auxiliary, // LlamaIndex
		`Given the following conversation history and a follow-up query, your task is to synthesize\na concise, standalone query that incorporates`:   extract.Auxiliary, // Spring AI
		"Reformulate the user question based on chat history to be a standalone question. Do not answer it.":                                          extract.Auxiliary,
		"Rewrite the user's latest question into a standalone search query using the chat history for the context.":                                   extract.Auxiliary,
		"You rewrite the user's question into a standalone search query using the conversation history.":                                              extract.Auxiliary,
		`You are an AI question rephraser. You will be given a conversation and a follow-up question, you will have to rephrase`:                      extract.Auxiliary, // Perplexica
		"You are an AI question rephraser. Your role is to rephrase follow-up queries from a conversation into":                                       extract.Auxiliary, // Cherry Studio
		"You are a Question Rewriter. From a conversation and a follow-up question, make one that needs nothing else.":                                extract.Auxiliary,
		"You will be given a conversation below and a follow up question. You need to rephrase the follow-up question so it is a standalone question": extract.Auxiliary, // Perplexica
		"You will be given a conversation and a question. You need to answer the question as a standalone question":                                   extract.Turn,
		"You will be given a conversation. Answer each standalone question":                                                                           extract.Turn,
		"You will be given a conversation":                                                                                    extract.Turn,
		"You are a SQL query rewriter. Keep the conversation short.":                                                          extract.Turn,
		"You are a tutor with a question rewriter. After a conversation, ask a follow-up question.":                           extract.Turn,
		"You are an AI question rephraser, and kind. In our conversation, ask a follow-up question.":                          extract.Turn,
		"You answer standalone questions about the law.":                                                                      extract.Turn,
		"Is a conversation worth more than a standalone answer?":                                                              extract.Turn,
		"How do I rewrite the last question and the conversation into a standalone question?":                                 extract.Turn,
		"Given a conversation and a follow-up, how do I create a standalone question":                                         extract.Turn,
		"What does LangChain call a standalone question, and why does it take the conversation to rewrite a message into one": extract.Turn,
		"Is my prompt good: given a chat history and the latest user question, formulate a standalone question":               extract.Turn,
		"Fix the bug: the chain rewrites the standalone question twice and forgets the conversation":                          extract.Turn,
		"Rewrite the function so that the chat history becomes a standalone question":                                         extract.Turn,
		"Answer the standalone question based on the conversation and the documents.":                                         extract.Turn,
		"Given the conversation and the documents, answer the standalone question.":                                           extract.Turn,
		"Given the conversation, rewrite the last message to a standalone question, then answer it.":                          extract.Turn,
		"Treat each message as a standalone question; do not rely on the conversation.":                                       extract.Turn,
		"You are a support bot. If the conversation is unclear, have the user rewrite the message as a standalone question.":  extract.Turn,
		"Given the chat history dataset, write code to rephrase the follow-up question to be a standalone question":           extract.Turn,
		"Given the chat history, answer the follow-up question; if needed rewrite it as a standalone question first.":         extract.Turn,
		"Combine the questions from the conversation with my landlord into a standalone question":                             extract.Turn,
		"Given the conversation below, rewrite the last question of the user as a standalone question and explain why":        extract.Turn,
		"Rephrase the follow-up question in this chat history as a standalone question that I can post":                       extract.Turn,
		"Given the following conversation and a follow up question, rephrase it in French":                                    extract.Turn,
	} {
		require.Equal(t, want, says("", text).Class(), text)
		require.Equal(t, want, says(text, "x").Class(), text)
		if want != extract.Turn { // with the conversation itself, but not of a model that has more to do
			body := string(says(text, "x").Body)
			require.Equal(t, want, classOf(strings.Replace(body, `"x"}`, `"x"},{"role":"assistant","content":"y"},{"role":"user","content":"z"}`, 1)), text)
			for _, body := range []string{body, string(says("", text).Body)} {
				require.Equal(t, extract.Turn, classOf(withTools(body)), body)
			}
		}
	}
}

// Applications have a model guess what the user will ask next, and say so behind the conversation.
func TestNextQuestions(t *testing.T) {
	t.Parallel()
	talk := `Human: What is the capital of Norway?\nAssistant: Oslo.\n` + strings.Repeat("And so on, at length. ", 50)
	for person, want := range map[string]extract.Class{
		talk + `\nPlease help me predict the three most likely questions that human would ask, and keep each question under 20 characters.\nMAKE SURE your output is the SAME language as the Assistant's latest response. The output must be an array in JSON format following the specified schema:\n[\"question1\",\"question2\",\"question3\"]\n\nquestions:\n`: extract.Auxiliary, // Dify
		"Given the following conversations: " + talk + ". Please help me predict the three most likely questions that human would ask and keeping each question short and concise.":                                                                                                                                                                                 extract.Auxiliary, // Flowise
		`You're a helpful assistant! Your task is to suggest the next question that user might ask.\n` + talk + `\nGiven the conversation history, please give me 3 questions that user might ask next!`:                                                                                                                                                            extract.Auxiliary, // create-llama
		`Given the user question and the assistant answer, generate 3 short follow-up questions the user might ask next.\n\nUser question: a\nAssistant answer: b`:                                                                                                                                                                                                  extract.Auxiliary,
		`Based on the conversation below, suggest two follow-up questions the user might ask next.\n\nUSER QUESTION:\nwhy?`:                                                                                                                                                                                                                                         extract.Auxiliary,
		`Suggest three follow-up questions that the user could ask after the demo.`:                                                                                                                                                                                                                                                                                 extract.Turn,
		"You are a teacher. Generate questions for a quiz on conversation.":                                                                                                                                                                                                                                                                                         extract.Turn,
		"You are a job interviewer. Ask one question and, after each answer, a follow-up question. Suggest improvements at the end of the conversation.":                                                                                                                                                                                                            extract.Turn,
		"You are my tutor. We have a conversation in French; after each answer, correct me and generate the next question.":                                                                                                                                                                                                                                         extract.Turn,
		"You are an interviewer. Generate one follow-up question at a time based on the conversation.":                                                                                                                                                                                                                                                              extract.Turn,
		"You are a UX researcher. Given this chat history with a customer, suggest follow-up questions that I should ask him.":                                                                                                                                                                                                                                      extract.Turn,
		"You are right about the next question; can you generate the one after it? Our conversation stopped there":                                                                                                                                                                                                                                                  extract.Turn,
		"Generate 20 follow-up questions that a user might ask about our product in a conversation with our chatbot.":                                                                                                                                                                                                                                               extract.Turn,
		"What are the most likely questions that a user would ask in a conversation with a bank? Generate ten.":                                                                                                                                                                                                                                                     extract.Turn,
		"We build a chatbot. Suggest what question the user might ask next, after he asked about prices in the conversation.":                                                                                                                                                                                                                                       extract.Turn,
		`Predict the next questions that a user could ask.\nUser: how do I log in?`:                                                                                                                                                                                                                                                                                 extract.Turn,
		"Generate a follow-up question for our conversation.":                                                                                                                                                                                                                                                                                                       extract.Turn,
		"Generate 20 likely questions that a user might ask about our product.":                                                                                                                                                                                                                                                                                     extract.Turn,
		"Suggest a few questions a user might ask our chatbot in a conversation":                                                                                                                                                                                                                                                                                    extract.Turn,
		"Given the conversation below, what questions would you ask next?":                                                                                                                                                                                                                                                                                          extract.Turn,
		talk + "Predict the most likely questions that human would ask. " + talk:                                                                                                                                                                                                                                                                                    extract.Turn,
		"Summarize this conversation and the questions a user might ask next: " + talk:                                                                                                                                                                                                                                                                              extract.Turn,
		"In our conversation you were to suggest questions that I may want to ask next":                                                                                                                                                                                                                                                                             extract.Turn,
		"You are a coach who suggests questions that the user could put to clients in conversation.":                                                                                                                                                                                                                                                                extract.Turn,
	} {
		require.Equal(t, want, says("", person).Class(), person)
		body := string(says("", person).Body)
		require.Equal(t, extract.Turn, classOf(withTools(body)), person)
		require.Equal(t, want, says("", strings.ReplaceAll(person, "a", `\u0061`)).Class(), "escaped: %s", person)
		later := strings.Replace(body, `"messages":[`, `"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"},`, 1)
		require.Equal(t, extract.Turn, classOf(later), "later: %s", person)
	}
}
