"""Does a message cost the same at any size, what does a worker weigh, and how soon does work begin?"""
