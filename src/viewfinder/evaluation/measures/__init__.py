"""From predictions to metrics: one measure a task, with images that can weigh differently."""
