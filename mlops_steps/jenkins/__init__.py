"""What is asked of a Jenkins controller, over python-jenkins. Nothing else imports ``jenkins``."""
